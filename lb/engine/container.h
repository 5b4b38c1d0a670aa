/* From a member back to what holds it. */
#ifndef POSTERN_ENGINE_CONTAINER_H
#define POSTERN_ENGINE_CONTAINER_H

#include <stddef.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
