/* Bounds of the configuration; those of the data path are in lb/engine/limits.h. */
#ifndef POSTERN_CONF_LIMITS_H
#define POSTERN_CONF_LIMITS_H

#define CONFIG_FILE_MAX        1048576u
#define CONFIG_LINE_MAX        4096u
#define CONFIG_NAME_MAX        63u /* of a section, as a backend's in commands and logs */
#define CONFIG_WORKERS_MAX     64u
#define CONFIG_LISTENS_MAX     16u
#define CONFIG_TIERS_MAX       16u
#define CONFIG_BACKENDS_MAX    256u
#define CONFIG_DNSLISTS_MAX    16u
#define CONFIG_ZONE_MAX        180u /* with the 64 nibbles and dots of an IPv6 address: 253 at most (RFC 1035 §2.3.4) */
#define CONFIG_DELIMITERS_MAX  8u   /* of recipient-delimiter */
#define CONFIG_PER_CLIENT_MAX  65534u
#define CONFIG_RATE_EVENTS_MAX 1000000u
#define CONFIG_RATE_PERIOD_MAX 86400000u /* ms: a day */
#define CONFIG_LIST_MAX        64u       /* addresses, networks or words of one option */

#endif
