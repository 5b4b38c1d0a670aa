/* recipients-file: the addresses that exist, one a line; `@example.test` takes every address of a domain. */
#ifndef POSTERN_GATE_RECIPIENT_TABLE_H
#define POSTERN_GATE_RECIPIENT_TABLE_H

#include "lb/gate/text_map.h"

#include <stdio.h>

/* Returns as domain_table_read() does. */
int recipient_table_read(const char *path, FILE *errors, struct text_map *ret_recipients);
/* `local_part`: without quotes, in any case; `domain`: in lower case. The address itself, else without the extension
 * behind the first of `delimiters` (each octet is one; "": none), else the domain's catch-all. */
bool recipient_table_has(const struct text_map *recipients, const char *local_part, const char *domain,
                         const char *delimiters);
/* The octets of the local part before its extension, as Postfix's split_addr() parts it: not before the first octet,
 * nor, at a "-", owner-… and …-request, nor mailer-daemon and double-bounce. */
size_t recipient_base_length(const char *local_part, const char *delimiters);

#endif
