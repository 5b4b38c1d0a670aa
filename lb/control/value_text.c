/* The value that a verb has made, as text. With the word `json` the value itself is printed instead. Owns nothing. */
#include "lb/control/value_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void print_scalar(const json_t *value, char *text, size_t size) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        snprintf(text, size, "%s", json_string_value(value)[0] != '\0' ? json_string_value(value) : "-");
        break;
    case JSON_INTEGER:
        snprintf(text, size, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(text, size, "%.2f", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, size, "%s", json_is_true(value) ? "yes" : "no");
        break;
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
        snprintf(text, size, "-");
        break;
    }
}

#define COLUMNS_MAX 24
#define CELL_MAX    200

static void print_row(const json_t *row, const size_t *widths, bool is_header, FILE *out) {
    const char *key;
    json_t *value;
    size_t column = 0;
    char text[CELL_MAX];
    json_object_foreach((json_t *)(uintptr_t)row, key, value) {
        if (is_header)
            snprintf(text, sizeof text, "%s", key);
        else
            print_scalar(value, text, sizeof text);
        bool is_last = column + 1 == json_object_size(row);
        fprintf(out, "%s%-*s", column > 0 ? "  " : "", is_last ? 0 : (int)widths[column], text);
        column++;
    }
    fputc('\n', out);
}

static void print_table(const json_t *list, FILE *out) {
    size_t widths[COLUMNS_MAX] = {0};
    size_t index;
    json_t *row;
    char text[CELL_MAX];
    json_array_foreach(list, index, row) {
        const char *key;
        json_t *value;
        size_t column = 0;
        json_object_foreach(row, key, value) {
            print_scalar(value, text, sizeof text);
            size_t width = strlen(text) > strlen(key) ? strlen(text) : strlen(key);
            if (column < COLUMNS_MAX && width > widths[column])
                widths[column] = width;
            column++;
        }
    }
    if (json_array_size(list) > 0)
        print_row(json_array_get(list, 0), widths, true, out);
    json_array_foreach(list, index, row) print_row(row, widths, false, out);
}

static void print_lines(const json_t *object, FILE *out) {
    const char *key;
    json_t *value;
    char text[CELL_MAX];
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        print_scalar(value, text, sizeof text);
        fprintf(out, "%s: %s\n", key, text);
    }
}

char *value_text(const json_t *value) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return NULL;
    if (json_is_array(value))
        print_table(value, out);
    else
        print_lines(value, out);
    fclose(out);
    return text;
}
