/* The option table: every option of postern.ini in one place. The reader, `postern -T`, error messages and the man page
 * are all made from it, so none of them can know an option that the others do not. */
#ifndef POSTERN_CONF_OPTIONS_H
#define POSTERN_CONF_OPTIONS_H

#include "conf/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    /* char *, empty or of a form; see text_form.h */
    OPTION_HOSTNAME,   /* a domain or an address literal */
    OPTION_ZONE,       /* a domain that look-ups are made below */
    OPTION_PATH,       /* absolute */
    OPTION_LOG,        /* stderr, syslog or a path */
    OPTION_USER,       /* of the system */
    OPTION_SECTION,    /* the name of a section */
    OPTION_MAILBOX,    /* local@domain */
    OPTION_SENDER,     /* the same, or <> */
    OPTION_DELIMITERS, /* characters of a local part */
    OPTION_BOOL,       /* bool: yes|no|on|off */
    OPTION_WORD_OF,    /* an enum: one of `words` */
    OPTION_NUMBER,     /* uint32_t */
    OPTION_OCTAL,      /* uint32_t: a file mode */
    OPTION_DURATION,   /* uint64_t milliseconds: 500ms, 2s, 5m, 1h, 7d */
    OPTION_SIZE,       /* uint64_t octets: 15728640, 512K, 15M, 1G */
    OPTION_RATE,       /* struct rate: 30/1m; 0 = off */
    OPTION_ADDRESSES,  /* struct address_list, with ports */
    OPTION_HOSTS,      /* struct address_list, without ports */
    OPTION_CIDRS,      /* struct cidr_list */
    OPTION_WORDS,      /* struct word_list */
    OPTION_ENDPOINT,   /* struct config_backend's host, port and address */
};

enum section {
    SECTION_GLOBAL,
    SECTION_LISTEN,
    SECTION_TIMEOUTS,
    SECTION_TIER,
    SECTION_BACKEND,
    SECTION_REPUTATION,
    SECTION_DNSLIST,
    SECTION_GATE,
    SECTION_LIMITS,
    SECTION_DNS,
    SECTION_CONTROL,
    SECTION_STATUS,
    SECTION_FEEDBACK,
    SECTIONS_COUNT
};

enum option_flags {
    OPTION_AUTO = 1,      /* the word `auto` is allowed and means 0 */
    OPTION_REQUIRED = 2,  /* may not be missing or empty */
    OPTION_INHERITS = 4,  /* of a backend: from its tier where not given */
    OPTION_NO_EFFECT = 8, /* parsed and checked, but its feature is not built yet */
    OPTION_ONE = 16,      /* a list of one item at most */
};

struct option {
    enum section section;
    const char *name;
    enum option_type type;
    size_t offset;            /* in the section's struct */
    const char *default_text; /* parsed like a value of the file; "" = empty */
    uint64_t min, max;        /* of numbers, milliseconds or octets */
    const char *const *words; /* of OPTION_WORD_OF, NULL-terminated, in the order of the enum */
    unsigned flags;
    uint16_t default_port; /* of addresses; 0: the port must be given */
    const char *help;
};

/* How a kind of section stands in struct config: once, or as an array of named ones. */
struct section_type {
    const char *name;
    bool is_named;
    size_t offset;       /* of the struct, or of the pointer to the array */
    size_t count_offset; /* of the array's count */
    size_t bytes;        /* of one */
    size_t most;         /* how many of them */
    const char *help;
};

extern const struct option options[];
extern const size_t options_count;
extern const struct section_type section_types[SECTIONS_COUNT];

/* Of a named section: where the pointer to its array stands, and where the array's count does. */
void **section_items(struct config *config, enum section section);
size_t *section_count(struct config *config, enum section section);
/* Letters, digits, - _ . with a letter or digit first, of a bounded length, and no word of the control socket's own: it
 * stands in commands, logs and metrics. */
bool section_name_is_good(const char *name);
/* With CONFIG_NAME_MAX. */
#define SECTION_NAME_FORM "1 to %u letters, digits, - _ ., a letter or digit first, and is neither auto nor json"

/* The option of that name, or NULL. */
const struct option *option_find(enum section section, const char *name);
/* The name in that section which `name` was probably meant to be, or NULL. */
const char *option_nearest(enum section section, const char *name);

#endif
