/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that may hold key material: slabs straight from mmap(2), so that no secret shares a
 * page with anything else, each cut into slots of one size. Called by whoever owns a key. It must
 * never hand out or give back a byte that was not wiped.
 *
 * A slab is locked (no swap), and left out of core dumps; without the latter it is not used. A lock
 * refused by RLIMIT_MEMLOCK is reported, not fatal. What this cannot do: keep copies out of
 * registers, of the stack of the code that uses the key, and of a hibernation image.
 *
 * fork(2): the child inherits the slabs. MADV_WIPEONFORK is not an option, as a child that serves
 * its parent's connection (a server that forks after the handshake) would go on encrypting under a
 * key of zeros; with MADV_DONTFORK it would crash. Locks are not inherited (mlock(2)): the pages
 * that parent and child share stay in RAM as long as the parent keeps them, the child's later
 * copies may be swapped. execve(2) and posix_spawn(3) leave nothing behind.
 */
#include "core/secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/sys.h"

/* A multiple of every page size up to 16 KiB; mmap() and mlock() round up to larger ones. */
#define SLAB_SIZE 16384

/* AddressSanitizer knows nothing of slots: tell it, so that it finds use after free here too. */
#if defined(__SANITIZE_ADDRESS__)
#define SECRET_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SECRET_ASAN 1
#endif
#endif
#ifdef SECRET_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#endif

/* The head of a slot; the secret follows. Both members betray a write across a slot's end. */
struct slot {
	struct slab *slab;
	struct slot *next; /* of the free ones; the slot itself while it is in use */
};

_Static_assert(sizeof(struct slot) % _Alignof(max_align_t) == 0,
	       "secrets are aligned for any type");

struct slab {
	struct slab *next, **link; /* in usable[]; link is NULL while every slot is in use */
	struct slot *free;
	unsigned int used;
	unsigned int cls;
	bool locked;
} __attribute__((aligned(_Alignof(max_align_t))));

/* 128 is struct traffic, 768 an EVP_AEAD_CTX with its IV: the two that every connection has. */
static const size_t class_size[] = { 48, 128, 256, 512, 768, 1024, SECRET_MAX };

#define N_CLASSES (sizeof(class_size) / sizeof(class_size[0]))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of everything below */
static struct slab *usable[N_CLASSES];                   /* the slabs that have a free slot */
static unsigned int n_empty[N_CLASSES];                  /* those of them without a used one */
static size_t n_live;
static unsigned int n_unlocked; /* slabs */
static int memlock_errno;

/* A child must not inherit a lock that a thread of its parent held. */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void watch_fork(void)
{
	/* It fails for lack of memory only; then fork() beside another thread's call may hang. */
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

static void *payload(struct slot *slot)
{
	return slot + 1;
}

/* Must hold lock, like everything from here to the public functions. */
static void link_slab(struct slab *slab)
{
	struct slab **head = &usable[slab->cls];

	slab->next = *head;
	slab->link = head;
	if (*head != NULL)
		(*head)->link = &slab->next;
	*head = slab;
}

static void unlink_slab(struct slab *slab)
{
	*slab->link = slab->next;
	if (slab->next != NULL)
		slab->next->link = slab->link;
	slab->link = NULL;
}

static void cut_slots(struct slab *slab)
{
	size_t stride = sizeof(struct slot) + class_size[slab->cls];
	uint8_t *p = (uint8_t *)(slab + 1);
	const uint8_t *end = (uint8_t *)slab + SLAB_SIZE;

	for (; stride <= (size_t)(end - p); p += stride) {
		struct slot *slot = (struct slot *)p;

		slot->slab = slab;
		slot->next = slab->free;
		slab->free = slot;
		ASAN_POISON_MEMORY_REGION(payload(slot), class_size[slab->cls]);
	}
}

/* Returns a slab that is never dumped and, if the limits allow, locked; NULL without memory. */
static struct slab *slab_new(unsigned int cls)
{
	struct slab *slab = sys->mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slab == MAP_FAILED)
		return NULL;
	if (sys->madvise(slab, SLAB_SIZE, MADV_DONTDUMP) < 0) {
		/* If this fails too the pages stay mapped, untouched. */
		sys->munmap(slab, SLAB_SIZE);
		return NULL;
	}
	slab->cls = cls;
	slab->locked = sys->mlock(slab, SLAB_SIZE) == 0;
	if (!slab->locked) {
		memlock_errno = errno;
		n_unlocked++;
	}
	cut_slots(slab);
	link_slab(slab);
	n_empty[cls]++;
	return slab;
}

/* Gives an empty slab back, unless it is the last of its class: that one saves four calls. */
static void slab_trim(struct slab *slab)
{
	unsigned int cls = slab->cls;
	bool locked = slab->locked;

	if (n_empty[cls] <= 1)
		return;
	unlink_slab(slab);
	if (sys->munmap(slab, SLAB_SIZE) < 0) {
		/* ENOMEM: the process has too many mappings. The slab remains good. */
		link_slab(slab);
		return;
	}
	ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_SIZE);
	n_empty[cls]--;
	n_unlocked -= !locked;
}

static struct slot *slot_take(struct slab *slab)
{
	struct slot *slot = slab->free;

	slab->free = slot->next;
	slot->next = slot;
	n_empty[slab->cls] -= slab->used == 0;
	slab->used++;
	if (slab->free == NULL)
		unlink_slab(slab);
	n_live++;
	return slot;
}

static void slot_give(struct slot *slot)
{
	struct slab *slab = slot->slab;

	if (slab->free == NULL)
		link_slab(slab);
	slot->next = slab->free;
	slab->free = slot;
	n_live--;
	if (--slab->used == 0) {
		n_empty[slab->cls]++;
		slab_trim(slab);
	}
}

/* Whether nobody wrote to a slot after it was freed and wiped; cheap beside what a key costs. */
static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

void *secret_new(size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct slab *slab;
	struct slot *slot = NULL;
	unsigned int cls = 0;

	if (size > SECRET_MAX)
		return NULL;
	while (class_size[cls] < size)
		cls++;
	pthread_once(&once, watch_fork);
	pthread_mutex_lock(&lock);
	slab = usable[cls] != NULL ? usable[cls] : slab_new(cls);
	if (slab != NULL)
		slot = slot_take(slab);
	pthread_mutex_unlock(&lock);
	if (slot == NULL)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(payload(slot), class_size[cls]);
	if (!is_zero(payload(slot), class_size[cls]))
		abort();
	ASAN_POISON_MEMORY_REGION((uint8_t *)payload(slot) + size, class_size[cls] - size);
	return payload(slot);
}

void *secret_free(void *secret)
{
	struct slot *slot;
	size_t size;

	if (secret == NULL)
		return NULL;
	slot = (struct slot *)secret - 1;
	/* A double free, or a write across a slot's end: no key memory can be trusted any more. */
	if (slot->next != slot)
		abort();
	size = class_size[slot->slab->cls];
	ASAN_UNPOISON_MEMORY_REGION(secret, size);
	secret_wipe(secret, size);
	ASAN_POISON_MEMORY_REGION(secret, size);
	pthread_mutex_lock(&lock);
	slot_give(slot);
	pthread_mutex_unlock(&lock);
	return NULL;
}

void secret_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}

int secret_memlock_errno(void)
{
	int err;

	pthread_mutex_lock(&lock);
	err = n_unlocked > 0 ? memlock_errno : 0;
	pthread_mutex_unlock(&lock);
	return err;
}

size_t secret_live(void)
{
	size_t live;

	pthread_mutex_lock(&lock);
	live = n_live;
	pthread_mutex_unlock(&lock);
	return live;
}
