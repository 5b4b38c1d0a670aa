/* A configuration from a text, as operators write postern.ini, and what is said of it. */
#ifndef POSTERN_TESTS_INI_H
#define POSTERN_TESTS_INI_H

#include "conf/config.h"

#include <criterion/criterion.h>

/* The least that postern takes, and its parts. */
#define LISTEN  "[listen mx]\naddress = 127.0.0.1:2525\n"
#define TIER    "[tier primary]\n"
#define BACKEND "[backend vm1]\ntier = primary\naddress = 192.0.2.11:25\n"
#define MINIMAL LISTEN TIER BACKEND

/* What was said of the last text. */
extern char *messages;

/* The configuration, to be freed, or NULL. The file is called t.ini. */
struct config *parse_text(const char *text);
struct config *parse_octets(const char *text, size_t length);
/* The text is taken, and nothing is said. */
void assert_good_text(const char *text);
/* The text is refused, and `message` stands among what is said. */
void assert_wrong_text(const char *text, const char *message);

#endif
