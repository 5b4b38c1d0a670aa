/* The forms of text options: what a value must look like so that a typing mistake, or a comment where none can stand,
 * is not taken for a name. Pure. */
#ifndef POSTERN_CONF_TEXT_FORM_H
#define POSTERN_CONF_TEXT_FORM_H

#include "conf/options.h"

/* True for the types whose field is a char *. */
bool option_is_text(enum option_type type);
/* An empty text is of every form: it means off or the default. */
bool text_form_is_good(enum option_type type, const char *text);
/* "an absolute path without blanks", for messages and the man page. */
const char *text_form_name(enum option_type type);

/* A keyword of a reply to EHLO: letters, digits and -, a letter or digit first (RFC 5321 §4.1.1.1). */
bool text_is_keyword(const char *text);

#endif
