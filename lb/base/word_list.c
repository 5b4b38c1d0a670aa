/* A list of words. It owns one allocation for each word and one for the array of pointers; word_list_finish() frees
 * them. */
#include "lb/base/word_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int word_list_add(struct word_list *list, const char *word, char **ret_copy) {
    char **grown = reallocarray(list->items, list->count + 1, sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    list->items = grown;
    char *copy = strdup(word);
    if (copy == NULL)
        return -ENOMEM;
    list->items[list->count++] = copy;
    if (ret_copy != NULL)
        *ret_copy = copy;
    return 0;
}

void word_list_finish(struct word_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct word_list){0};
}
