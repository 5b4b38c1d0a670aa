/* Words of an operator's, as many as were given. */
#ifndef POSTERN_BASE_WORD_LIST_H
#define POSTERN_BASE_WORD_LIST_H

#include <stddef.h>

struct word_list {
    char **items; /* owned, each NUL-terminated */
    size_t count;
};

/* Appends a copy, which *ret_copy then points to (NULL: not wanted). Returns 0, or -ENOMEM with the list as it was. */
int word_list_add(struct word_list *list, const char *word, char **ret_copy);
/* Accepts a zeroed one; it is zeroed afterwards. */
void word_list_finish(struct word_list *list);

#endif
