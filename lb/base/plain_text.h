/* What files typed by people may hold beside what is seen: blanks that are none, marks without a width, characters that
 * look like others. Such a character would be part of a name and make it another one, so it is refused where a name
 * stands. Pure. */
#ifndef POSTERN_BASE_PLAIN_TEXT_H
#define POSTERN_BASE_PLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The octets of a UTF-8 byte order mark at the beginning: 3, or 0 without one. It means nothing there. */
size_t plain_text_mark_length(const char *text, size_t length);
/* A UTF-16 byte order mark at the beginning: what follows is no text in UTF-8. */
bool plain_text_is_utf16(const char *text, size_t length);
/* A line end within a line, as far as line ends are LF or CRLF: CR, U+0085, U+2028 or U+2029. What stands behind it
 * would be hidden in a comment. */
bool plain_text_has_line_end(const char *text, size_t length);

/* Room for what plain_text_fault() says. */
#define PLAIN_TEXT_FAULT_MAX 100u

/* False when all is visible: printable ASCII, blank, tab, and letters beyond ASCII in UTF-8. Else true, and `ret_fault`
 * says what stands where: "U+00A0 (a no-break space) behind "example.test"". */
bool plain_text_fault(const char *text, size_t length, char ret_fault[PLAIN_TEXT_FAULT_MAX]);

#endif
