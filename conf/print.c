/* The table's other uses: the effective configuration for `postern -T`, what is allowed for messages, the man page. */
#include "conf/options.h"

#include "conf/text_form.h"

#include <string.h>

/* --- one value --- */

static void print_duration(uint64_t ms, FILE *out) {
    static const struct {
        uint64_t factor;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms == 0 ? i < 3 : ms % units[i].factor != 0)
        i++;
    fprintf(out, "%llu%s", (unsigned long long)(ms / units[i].factor), units[i].name);
}

/* IPv6 in brackets, so that its last group is no port. */
static void print_host(const struct address *address, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    fprintf(out, "%s%s%s", is_ipv6 ? "[" : "", address_format_host(address, text), is_ipv6 ? "]" : "");
}

static void print_addresses(const struct address_list *list, bool with_port, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? " " : "", out);
        if (with_port)
            fputs(address_format(&list->items[i], text), out);
        else
            print_host(&list->items[i], out);
    }
}

static void print_cidrs(const struct cidr_list *list, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s/%u", i > 0 ? " " : "", address_format_host(&list->items[i].base, text),
                list->items[i].prefix_bits);
}

static void print_words(const struct word_list *list, FILE *out) {
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", list->items[i]);
}

static void print_rate(const struct rate *rate, FILE *out) {
    fprintf(out, "%u", rate->events);
    if (rate->events == 0)
        return;
    fputc('/', out);
    print_duration(rate->period_ms, out);
}

void option_print(const struct option *option, const void *section_data, FILE *out) {
    const void *field = (const char *)section_data + option->offset;
    char text[ADDRESS_TEXT_MAX];
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        fputs(*(char *const *)field, out);
        break;
    case OPTION_BOOL:
        fputs(*(const bool *)field ? "yes" : "no", out);
        break;
    case OPTION_WORD_OF:
        fputs(option->words[*(const unsigned *)field], out);
        break;
    case OPTION_NUMBER:
        if ((option->flags & OPTION_AUTO) && *(const uint32_t *)field == 0)
            fputs("auto", out);
        else
            fprintf(out, "%u", *(const uint32_t *)field);
        break;
    case OPTION_OCTAL:
        fprintf(out, "%04o", *(const uint32_t *)field);
        break;
    case OPTION_DURATION:
        print_duration(*(const uint64_t *)field, out);
        break;
    case OPTION_SIZE:
        fprintf(out, "%llu", *(const unsigned long long *)field);
        break;
    case OPTION_RATE:
        print_rate(field, out);
        break;
    case OPTION_ADDRESSES:
    case OPTION_HOSTS:
        print_addresses(field, option->type == OPTION_ADDRESSES, out);
        break;
    case OPTION_CIDRS:
        print_cidrs(field, out);
        break;
    case OPTION_WORDS:
        print_words(field, out);
        break;
    case OPTION_ENDPOINT: {
        const struct config_backend *backend = section_data;
        if (backend->host_is_name)
            fprintf(out, "%s:%u", backend->host, backend->port);
        else
            fputs(address_format(&backend->address, text), out);
        break;
    }
    }
}

/* --- what is allowed --- */

static void describe_words(const struct option *option, FILE *out) {
    for (size_t i = 0; option->words[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " | " : "", option->words[i]);
}

/* That of the examples in the documents where there is no default. */
static unsigned example_port(const struct option *option) {
    if (option->default_port != 0)
        return option->default_port;
    return option->section == SECTION_FEEDBACK ? 8026 : 8025;
}

static void describe(const struct option *option, FILE *out) {
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        fputs(text_form_name(option->type), out);
        if (option->max != 0)
            fprintf(out, ", at most %llu octets", (unsigned long long)option->max);
        break;
    case OPTION_BOOL:
        fputs("yes | no | on | off", out);
        break;
    case OPTION_WORD_OF:
        describe_words(option, out);
        break;
    case OPTION_NUMBER:
        fprintf(out, "%sa number from %llu to %llu", option->flags & OPTION_AUTO ? "auto, or " : "",
                (unsigned long long)(option->flags & OPTION_AUTO ? 1 : option->min), (unsigned long long)option->max);
        break;
    case OPTION_OCTAL:
        fputs("a file mode in octal, as 0660", out);
        break;
    case OPTION_DURATION:
        fputs("a duration with its unit (500ms, 2s, 5m, 1h, 7d) from ", out);
        print_duration(option->min, out);
        fputs(" to ", out);
        print_duration(option->max, out);
        break;
    case OPTION_SIZE:
        fputs("octets, or with K, M or G (15M)", out);
        break;
    case OPTION_RATE:
        fputs("a rate as 30/1m, or 0 for off", out);
        break;
    case OPTION_ADDRESSES:
        fprintf(out, "%s as 192.0.2.1:%u or [2001:db8::1]:%u", option->flags & OPTION_ONE ? "an address" : "addresses",
                example_port(option), example_port(option));
        break;
    case OPTION_HOSTS:
        fputs("addresses without port, as 192.0.2.1 or 2001:db8::1", out);
        break;
    case OPTION_CIDRS:
        fputs("networks as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind the prefix", out);
        break;
    case OPTION_WORDS:
        fputs("words, separated by spaces", out);
        break;
    case OPTION_ENDPOINT:
        fputs("an address as 192.0.2.11:25 or [2001:db8::11]:25, or a name as vm1.example.net:25", out);
        break;
    }
}

void option_describe(const struct option *option, char *ret_text, size_t text_size) {
    ret_text[0] = '\0';
    FILE *out = fmemopen(ret_text, text_size, "w");
    if (out == NULL)
        return;
    describe(option, out);
    fclose(out);
    ret_text[text_size - 1] = '\0';
}

/* --- postern -T --- */

/* What is waited for others may be a millisecond for tests' sake; 5ms is mostly 5m with a slip of the finger. */
static bool is_strangely_short(const struct option *option, const void *data) {
    return option->type == OPTION_DURATION && option->min == 1 &&
           *(const uint64_t *)(const void *)((const char *)data + option->offset) < 1000;
}

static void print_section(enum section section, const char *name, const void *data, FILE *out) {
    fprintf(out, name == NULL ? "\n[%s]\n" : "\n[%s %s]\n", section_types[section].name, name);
    for (size_t i = 0; i < options_count; i++) {
        if (options[i].section != section)
            continue;
        fprintf(out, "%s = ", options[i].name);
        option_print(&options[i], data, out);
        if (is_strangely_short(&options[i], data))
            fputs(" ; warning: less than a second", out);
        fputs(options[i].flags & OPTION_NO_EFFECT ? " ; has no effect in this version\n" : "\n", out);
    }
}

/* A named section's struct begins with its name. */
static const char *name_of(const void *data) {
    return *(char *const *)data;
}

static bool needs_vetting(const struct config *config) {
    for (size_t i = 0; i < config->tiers_count; i++)
        if (config->tiers[i].admit == ADMIT_VETTED)
            return true;
    return false;
}

static void print_vetting_warnings(const struct config *config, FILE *out) {
    const struct config_reputation *reputation = &config->reputation;
    bool has_feed = config->feedback.listen.count > 0;
    if (!needs_vetting(config))
        return;
    if (!reputation->enabled)
        fprintf(out, "; warning: [reputation] enabled = no: a tier with admit = vetted serves %s\n",
                reputation->allow_file[0] == '\0' ? "nobody, since allow-file is empty too"
                                                  : "whom allow-file names only");
    if (reputation->enabled && !has_feed)
        fputs("; warning: [feedback] listen is empty: what becomes of mail inside TLS is not known, so that senders "
              "who use "
              "STARTTLS are not vetted by it\n",
              out);
    if (reputation->enabled && has_feed && reputation->clean_evidence == CLEAN_EVIDENCE_REPLY)
        fputs(
            "; warning: [feedback] listen with clean-evidence = reply: mail in clear counts twice, by its reply and by "
            "the feed\n",
            out);
    if (reputation->enabled && config->global.state_dir[0] == '\0')
        fputs("; warning: [global] state-dir is empty: reputations are forgotten at a restart\n", out);
}

static void print_gate_warnings(const struct config *config, FILE *out) {
    const struct config_gate *gate = &config->gate;
    bool is_used = false;
    for (size_t i = 0; i < config->tiers_count; i++)
        is_used |= config->tiers[i].gate;
    if (is_used && gate->relay_domains_file[0] == '\0')
        fputs("; warning: [gate] relay-domains-file is empty: whose mail is ours is left to the servers behind\n", out);
    if (is_used && gate->recipients_file[0] == '\0')
        fputs("; warning: [gate] recipients-file is empty: which recipients exist is left to the servers behind\n",
              out);
}

/* In one tier that is a mistake; in two a site may want it: what is left of a tier then serves behind its gate. */
static void print_shared_hosts(const struct config *config, FILE *out) {
    for (size_t i = 0; i < config->backends_count; i++)
        for (size_t j = 0; j < i; j++)
            if (config_is_same_host(&config->backends[i], &config->backends[j]))
                fprintf(out,
                        "; warning: backends %s (tier %s) and %s (tier %s) are the same host and port: it gets the "
                        "probes, sessions and limits of both\n",
                        config->backends[j].name, config->backends[j].tier_name, config->backends[i].name,
                        config->backends[i].tier_name);
}

static void print_warnings(const struct config *config, FILE *out) {
    print_shared_hosts(config, out);
    for (size_t i = 0; i < config->backends_count; i++)
        if (config->backends[i].proxy == PROXY_NONE)
            fprintf(out,
                    "; warning: backend %s has proxy = none: it sees postern as the client, so postern's address must "
                    "not be in its mynetworks (it would be an open relay)\n",
                    config->backends[i].name);
    print_vetting_warnings(config, out);
    print_gate_warnings(config, out);
}

void config_print(const struct config *config, FILE *out) {
    fprintf(out, "; the effective configuration of %s\n", config->path);
    print_warnings(config, out);
    for (unsigned section = 0; section < SECTIONS_COUNT; section++) {
        const struct section_type *type = &section_types[section];
        const char *base = (const char *)config + type->offset;
        if (!type->is_named) {
            print_section((enum section)section, NULL, base, out);
            continue;
        }
        const char *items = *(const char *const *)(const void *)base;
        size_t count = *(const size_t *)(const void *)((const char *)config + type->count_offset);
        for (size_t i = 0; i < count; i++)
            print_section((enum section)section, name_of(items + i * type->bytes), items + i * type->bytes, out);
    }
}

/* --- the man page --- */

static void print_man_option(const struct option *option, FILE *out) {
    char allowed[200];
    option_describe(option, allowed, sizeof allowed);
    fprintf(out, ".TP\n.B %s\n%s\nAllowed: %s.", option->name, option->help, allowed);
    if (option->flags & OPTION_REQUIRED && option->default_text[0] == '\0')
        fputs(" Must be given.", out);
    else if (!(option->flags & OPTION_INHERITS))
        fprintf(out, " Default: %s.", option->default_text[0] != '\0' ? option->default_text : "empty");
    fputs(option->flags & OPTION_NO_EFFECT ? "\nHas no effect in this version.\n" : "\n", out);
}

void options_print_man(FILE *out) {
    fputs(
        ".\\\" Made from conf/options.c by `make man`; do not edit.\n"
        ".TH POSTERN.INI 5 \"\" \"postern\"\n.SH NAME\npostern.ini \\- configuration of postern(8)\n"
        ".SH DESCRIPTION\nSections in brackets, options as\n.IR \"name = value\" ,\none a line. A line that begins "
        "with "
        "; or # is a comment, and so is what stands behind a blank and a ;, but not behind a #. An empty value means "
        "the default. A "
        "section or an option that is not known, given twice, or has a wrong value is an error; all are reported at "
        "once, by\n.BR \"postern \\-T\" .\n.PP\nThis file and those that it names are text in UTF-8, with lines that "
        "end "
        "with LF or CRLF; a byte order mark at the beginning means nothing. Outside of comments a character that is "
        "not seen or looks like another one (a no\\-break or zero\\-width space, a dash or full\\-width letter beyond "
        "ASCII) is an error, since it would be part of a name.\n",
        out);
    for (unsigned section = 0; section < SECTIONS_COUNT; section++) {
        const struct section_type *type = &section_types[section];
        fprintf(out, ".SH [%s%s]\n%s\n", type->name, type->is_named ? " NAME" : "", type->help);
        for (size_t i = 0; i < options_count; i++)
            if (options[i].section == (enum section)section)
                print_man_option(&options[i], out);
    }
    fputs(".SH SEE ALSO\n.BR postern (8),\n.BR posternctl (1)\n", out);
}
