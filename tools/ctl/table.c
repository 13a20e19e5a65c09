// SPDX-License-Identifier: Apache-2.0
/*
 * Rows, printed three ways. JSON and tab-separated values go out as they come, however many there are;
 * tables for people are kept until the end, for the widths of their columns and their order.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define CELL_LEN 8192

/* Names come from peers and files: none of them moves the cursor or ends a line. */
static void tame(char *text)
{
	unsigned char *at;

	for (at = (unsigned char *)text; *at; at++)
		if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
			*at = '?';
}

static void join(char *out, size_t size, struct json_object *list)
{
	size_t i, len = 0, n = json_object_array_length(list);

	*out = '\0';
	for (i = 0; i < n && len + 1 < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "",
					json_object_get_string(json_object_array_get_idx(list, i)));
}

/* A value as it is. */
static void raw(char *out, size_t size, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array))
		join(out, size, value);
	else
		snprintf(out, size, "%s", value ? json_object_get_string(value) : "");
	tame(out);
}

char *table_cell(char *out, size_t size, const struct column *column, struct json_object *value)
{
	uint64_t number = json_object_get_uint64(value);
	char text[FORMAT_LEN];

	if (!value || (column->kind <= COLUMN_NUMBER)) {
		raw(out, size, value);
		if (!*out)
			snprintf(out, size, "-");
		return out;
	}
	if (column->kind == COLUMN_BYTES)
		format_bytes(text, number);
	else if (column->kind == COLUMN_MS)
		format_ms(text, number);
	else
		format_us(text, number);
	snprintf(out, size, "%s", text);
	return out;
}

enum table_format table_format(const struct settings *settings)
{
	if (settings->json)
		return TABLE_JSON;
	return settings->tsv ? TABLE_TSV : TABLE_TEXT;
}

void table_begin(struct table *table, const struct column *columns, enum table_format format)
{
	const struct column *column;

	*table = (struct table){ .columns = columns, .format = format };
	for (column = columns; column->key; column++)
		table->n_columns++;
}

static struct json_object *member(struct json_object *row, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(row, key, &value);
	return value;
}

static void row_json(struct table *table, struct json_object *row)
{
	if (!table->one)
		fputs(table->n_rows ? ",\n" : "[\n", stdout);
	fputs(json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE),
	      stdout);
	table->n_rows++;
}

static void head_tsv(const struct table *table)
{
	size_t i;

	for (i = 0; i < table->n_columns; i++)
		printf("%s%s", i ? "\t" : "", table->columns[i].key);
	putchar('\n');
}

static void row_tsv(struct table *table, struct json_object *row)
{
	static char text[CELL_LEN];
	size_t i;

	if (!table->n_rows++)
		head_tsv(table);
	for (i = 0; i < table->n_columns; i++) {
		raw(text, sizeof(text), member(row, table->columns[i].key));
		printf("%s%s", i ? "\t" : "", text);
	}
	putchar('\n');
}

static void *grown(void *array, size_t n, size_t size)
{
	void *bigger = array;

	if (!(n & (n - 1))) /* at powers of two, and at nothing */
		bigger = realloc(array, (n ? 2 * n : 1) * size);
	if (bigger)
		return bigger;
	fputs("sluicectl: no memory for this table; --tsv needs none\n", stderr);
	exit(CTL_REFUSED);
}

static void row_text(struct table *table, struct json_object *row)
{
	static char text[CELL_LEN];
	size_t i, n = table->n_rows;
	char **cells;

	table->rows = grown(table->rows, n, sizeof(*table->rows));
	table->numbers = grown(table->numbers, n, sizeof(*table->numbers));
	cells = grown(NULL, 0, table->n_columns * sizeof(*cells));
	for (i = 0; i < table->n_columns; i++) {
		table_cell(text, sizeof(text), &table->columns[i],
			   member(row, table->columns[i].key));
		cells[i] = grown(NULL, 0, strlen(text) + 1);
		strcpy(cells[i], text);
	}
	table->rows[n] = cells;
	table->numbers[n] = table->columns[0].kind == COLUMN_NUMBER
				    ? json_object_get_uint64(member(row, table->columns[0].key))
				    : n;
	table->n_rows++;
}

void table_row(void *arg, struct json_object *row)
{
	struct table *table = arg;

	if (table->format == TABLE_JSON)
		row_json(table, row);
	else if (table->format == TABLE_TSV)
		row_tsv(table, row);
	else
		row_text(table, row);
}

/* --- for people ----------------------------------------------------------------------------------- */

static bool is_right(const struct column *column)
{
	return column->kind >= COLUMN_NUMBER;
}

static bool is_shown(const struct table *table, size_t i)
{
	return table->wide || !table->columns[i].wide;
}

static void print_cell(const struct table *table, size_t i, const char *text, int width, bool last)
{
	const struct column *column = &table->columns[i];
	const char *colour = column->kind == COLUMN_STATE ? format_colour(text) : "";
	int fill = width - (int)strlen(text);

	if (is_right(column))
		printf("%*s", fill, "");
	printf("%s%s%s", colour, text, *colour ? format_plain() : "");
	if (last)
		putchar('\n');
	else
		printf("%*s", is_right(column) ? 2 : fill + 2, "");
}

static size_t last_shown(const struct table *table)
{
	size_t i = table->n_columns - 1;

	while (i && !is_shown(table, i))
		i--;
	return i;
}

static void print_rows(const struct table *table, const size_t *order)
{
	int *widths = calloc(table->n_columns, sizeof(*widths));
	size_t i, row, last = last_shown(table);

	for (i = 0; widths && i < table->n_columns; i++) {
		widths[i] = (int)strlen(table->columns[i].title);
		for (row = 0; row < table->n_rows; row++)
			if ((int)strlen(table->rows[row][i]) > widths[i])
				widths[i] = (int)strlen(table->rows[row][i]);
	}
	for (i = 0; widths && i < table->n_columns; i++) {
		if (!is_shown(table, i))
			continue;
		fputs(format_bold(), stdout);
		printf(is_right(&table->columns[i]) ? "%*s" : "%-*s", i == last ? 0 : widths[i],
		       table->columns[i].title);
		printf("%s%s", format_plain(), i == last ? "\n" : "  ");
	}
	for (row = 0; widths && row < table->n_rows; row++)
		for (i = 0; i < table->n_columns; i++)
			if (is_shown(table, i))
				print_cell(table, i, table->rows[order[row]][i], widths[i],
					   i == last);
	free(widths);
}

static void print_one(const struct table *table)
{
	const char *colour;
	size_t i;

	for (i = 0; i < table->n_columns; i++) {
		colour = table->columns[i].kind == COLUMN_STATE ? format_colour(table->rows[0][i])
								: "";
		printf("%s%-18s%s %s%s%s\n", format_bold(), table->columns[i].title, format_plain(),
		       colour, table->rows[0][i], *colour ? format_plain() : "");
	}
}

static int by_number(const void *a, const void *b, void *numbers)
{
	uint64_t x = ((const uint64_t *)numbers)[*(const size_t *)a];
	uint64_t y = ((const uint64_t *)numbers)[*(const size_t *)b];

	return x < y ? -1 : x > y;
}

static void end_text(struct table *table)
{
	size_t *order = grown(NULL, 0, (table->n_rows + 1) * sizeof(*order));
	size_t i, row;

	for (i = 0; i < table->n_rows; i++)
		order[i] = i;
	qsort_r(order, table->n_rows, sizeof(*order), by_number, table->numbers);
	if (!table->one)
		print_rows(table, order);
	else if (table->n_rows)
		print_one(table);
	for (row = 0; row < table->n_rows; row++) {
		for (i = 0; i < table->n_columns; i++)
			free(table->rows[row][i]);
		free(table->rows[row]);
	}
	free(order);
	free(table->rows);
	free(table->numbers);
}

void table_end(struct table *table)
{
	if (table->format == TABLE_TEXT)
		end_text(table);
	else if (table->format == TABLE_TSV && !table->n_rows)
		head_tsv(table);
	else if (table->format == TABLE_JSON && table->one)
		fputs(table->n_rows ? "\n" : "", stdout);
	else if (table->format == TABLE_JSON)
		fputs(table->n_rows ? "\n]\n" : "[]\n", stdout);
}
