/* Bounds of the configuration; those of the data path are in lb/engine/limits.h. */
#ifndef POSTERN_CONF_LIMITS_H
#define POSTERN_CONF_LIMITS_H

#define CONFIG_FILE_MAX       1048576u
#define CONFIG_LINE_MAX       4096u
#define CONFIG_NAME_MAX       63u /* of a section, as a backend's in commands and logs */
#define CONFIG_WORKERS_MAX    64u
#define CONFIG_LISTENS_MAX    16u
#define CONFIG_TIERS_MAX      16u
#define CONFIG_BACKENDS_MAX   256u
#define CONFIG_DNSLISTS_MAX   16u
#define CONFIG_ZONE_MAX       180u /* with the 64 nibbles and dots of an IPv6 address: 253 at most (RFC 1035 §2.3.4) */
#define CONFIG_DELIMITERS_MAX 8u   /* of recipient-delimiter */
#define CONFIG_LIST_MAX       64u  /* addresses, networks or words of one option */

/* Files that postern.ini names: lines of at most CONFIG_LINE_MAX octets, so many of them that a wrong file cannot eat
 * the memory. A recipients-file may hold a million addresses and comments beside them; an address takes about 70 octets
 * in memory (its text, mostly 30, and a slot of 12 in a table that is a quarter to a half full), 700 at the very most:
 * 64 + 1 + 255 of text, doubled while it grows. */
#define CONFIG_LINES_MAX            1000000u
#define CONFIG_RECIPIENTS_LINES_MAX 2000000u
/* Mistakes of one file that are written out; of the others the number. */
#define CONFIG_MISTAKES_SAID_MAX 1000u

#endif
