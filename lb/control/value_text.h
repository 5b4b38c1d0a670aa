/* A JSON value as an operator reads it. */
#ifndef POSTERN_CONTROL_VALUE_TEXT_H
#define POSTERN_CONTROL_VALUE_TEXT_H

#include <jansson.h>

/* An array of objects as an aligned table with the names of the first one above it, an object as lines "name: value".
 * Returns a text to be freed, or NULL without memory. Pure. */
char *value_text(const json_t *value);

#endif
