/* How many threads the process has address space for. */
#ifndef FASTLOSS_THREADS_H
#define FASTLOSS_THREADS_H

#if defined(__linux__)
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Bytes that OpenMP gives to the stack of a thread: OMP_STACKSIZE, in KiB unless a letter says
 * otherwise, or the system's default. */
static unsigned long long fl_stack_size(void) {
    const char *text = getenv("OMP_STACKSIZE");
    pthread_attr_t attributes;
    size_t size = 8u << 20;
    if (text != NULL && *text != 0) {
        char *end;
        unsigned long long number = strtoull(text, &end, 10);
        int shift = 10;
        while (*end == ' ')
            end++;
        if (*end == 'B' || *end == 'b')
            shift = 0;
        else if (*end == 'M' || *end == 'm')
            shift = 20;
        else if (*end == 'G' || *end == 'g')
            shift = 30;
        if (number > 0 && number < 1ull << 32)
            return number << shift;
    }
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &size);
        pthread_attr_destroy(&attributes);
    }
    return size;
}

/* The wanted number, or what half of the room below a limit of the address space holds. */
static int fl_room_for_threads(int wanted) {
    struct rlimit limit;
    unsigned long long used, room, count;
    unsigned long pages = 0;
    FILE *file;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 1;
    if (fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    fclose(file);
    used = (unsigned long long)pages * (unsigned long long)sysconf(_SC_PAGESIZE);
    if (pages == 0 || used >= limit.rlim_cur)
        return 1;
    room = limit.rlim_cur - used;
    count = room / 2 / (fl_stack_size() + 65536);        /* with what guards a stack */
    return count + 1 < (unsigned long long)wanted ? (int)count + 1 : wanted;
}
#else
static int fl_room_for_threads(int wanted) { return wanted; }
#endif

#endif
