// SPDX-License-Identifier: Apache-2.0
/*
 * What was measured, as one page that needs nothing else: the text, and two plots as inline SVG,
 * operations (of bulk data: bytes) over time and the distribution of latencies. Called by bench.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define WIDTH 760
#define HEIGHT 260
#define LEFT 90
#define BOTTOM 30
#define DECADES 5 /* of the distribution: up to 99.999 % */
#define STEPS 200

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void begin_plot(FILE *out, const char *title)
{
	fprintf(out,
		"<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
		"<path class=\"axis\" d=\"M%d 10V%dH%d\"/>\n",
		title, WIDTH, HEIGHT, title, LEFT, HEIGHT - BOTTOM, WIDTH - 10);
}

static double x_of(double share)
{
	return LEFT + share * (WIDTH - 10 - LEFT);
}

static double y_of(double share)
{
	return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 10);
}

static void x_label(FILE *out, double share, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(share),
		HEIGHT - 10, text);
}

static void y_label(FILE *out, double share, const char *text)
{
	fprintf(out,
		"<path class=\"grid\" d=\"M%d %.1fH%d\"/>"
		"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		LEFT, y_of(share), WIDTH - 10, LEFT - 6, y_of(share) + 4, text);
}

static double sample_rate(const struct sample *sample, bool bulk, double interval)
{
	return (bulk ? (double)sample->bytes / 1e6 : (double)sample->ops) / interval;
}

static void plot_series(const struct bench *bench, const struct result *result, double seconds,
			FILE *out)
{
	bool bulk = bench->mode >= MODE_DOWNLOAD;
	struct sample samples[REPORT_POINTS];
	double interval, top = 0;
	char label[32];
	size_t i, n;

	n = report_series(result, seconds, samples, &interval);
	for (i = 0; i < n; i++)
		top = fmax(top, sample_rate(&samples[i], bulk, interval));
	begin_plot(out, bulk ? "MB per second, over time" : "Operations per second, over time");
	for (i = 0; i <= 4 && top > 0; i++) {
		snprintf(label, sizeof(label), "%.5g", top * (double)i / 4);
		y_label(out, (double)i / 4, label);
		snprintf(label, sizeof(label), "%.3g s", seconds * (double)i / 4);
		x_label(out, (double)i / 4 * 0.96, label);
	}
	fputs("<polyline points=\"", out);
	for (i = 0; i < n && top > 0; i++)
		fprintf(out, "%.1f,%.1f ",
			x_of(((double)i + 0.5) * interval / fmax(seconds, 1e-9) * 0.96),
			y_of(sample_rate(&samples[i], bulk, interval) / top));
	fputs("\"/>\n</svg>\n", out);
}

/* Percentiles stand where 1/(1 - p) is on a logarithmic scale: every further nine has the same room. */
static void plot_latency(const struct result *result, FILE *out)
{
	static const char *const nines[DECADES + 1] = { "0 %",    "90 %",    "99 %",
							"99.9 %", "99.99 %", "99.999 %" };
	const struct hist *hist = &result->latency;
	double bottom = floor(log10(fmax((double)hist->min, 1)));
	double top = ceil(log10(fmax((double)hist->max, 10)));
	double decades = fmin(DECADES, log10(fmax((double)hist->count, 1)));
	char label[32];
	int i;

	begin_plot(out, "Latency by percentile (ms)");
	if (top <= bottom)
		top = bottom + 1;
	for (i = 0; i <= DECADES; i++)
		x_label(out, (double)i / DECADES * 0.94, nines[i]);
	for (i = (int)bottom; i <= (int)top; i++) {
		snprintf(label, sizeof(label), "%g", pow(10, i - 6));
		y_label(out, (i - bottom) / (top - bottom), label);
	}
	fputs("<polyline points=\"", out);
	for (i = 0; i <= STEPS && hist->count; i++) {
		double nine = decades * i / STEPS, p = 1 - pow(10, -nine);
		double value = (double)hist_quantile(hist, (uint64_t)(p * 100000));

		fprintf(out, "%.1f,%.1f ", x_of(nine / DECADES * 0.94),
			y_of((log10(fmax(value, 1)) - bottom) / (top - bottom)));
	}
	fputs("\"/>\n</svg>\n", out);
}

static int put_summary(const struct bench *bench, const struct result *result, double seconds,
		       FILE *out)
{
	char *text = NULL;
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		return -SLUICE_E_NOMEM;
	report_text(bench, result, seconds, memory);
	if (fclose(memory) == 0)
		put_escaped(out, text);
	free(text);
	return 0;
}

int report_html(const struct bench *bench, const struct result *result, double seconds,
		const char *path)
{
	FILE *out = report_open(path);
	int r;

	if (!out)
		return -SLUICE_E_FILE;
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	      "<title>sluice bench</title>\n<style>\n"
	      "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\n"
	      "pre{background:#f3f3f3;padding:1em;white-space:pre-wrap}\n"
	      "svg{width:100%;font-size:11px}.axis{fill:none;stroke:#333}.grid{stroke:#ddd}\n"
	      "polyline{fill:none;stroke:#0b62a4;stroke-width:1.5}\n"
	      "</style></head><body>\n<h1>sluice bench</h1>\n<pre>",
	      out);
	r = put_summary(bench, result, seconds, out);
	fputs("</pre>\n", out);
	plot_series(bench, result, seconds, out);
	plot_latency(result, out);
	fputs("</body></html>\n", out);
	return report_close(out, path) < 0 ? -SLUICE_E_FILE : r;
}
