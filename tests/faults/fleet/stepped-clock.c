/*
 * Preloaded into a server with LD_PRELOAD. The file CLOCK_OFFSET_FILE has two 64-bit numbers of
 * nanoseconds. The first one is added to the wall clock of the server. If the second one is not 0,
 * the clock has stopped at that time since 1970. The file is mapped, so a change takes effect at
 * once. The monotonic clock is not affected, as when an operator sets the clock of a machine.
 * Nothing here allocates memory, because the allocator of Redis reads the time while it starts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The offset, and the time at which the clock has stopped. */
static const volatile int64_t *clock_file;

__attribute__((constructor)) static void map_offset(void) {
  const char *file = getenv("CLOCK_OFFSET_FILE");
  int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, 2 * sizeof *clock_file, PROT_READ, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) clock_file = page;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  if (failed != 0 || clock_file == NULL) return failed;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return 0;
  int64_t ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + clock_file[0];
  if (clock_file[1] != 0) ns = clock_file[1];
  now->tv_sec = ns / 1000000000;
  now->tv_nsec = ns % 1000000000;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int failed = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return failed;
}

time_t time(time_t *seconds) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (seconds != NULL) *seconds = precise.tv_sec;
  return precise.tv_sec;
}
