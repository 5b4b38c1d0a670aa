/* The output of `postern -T`: first the warnings, then each section with its options in the table's order. main.c calls
 * it. Owns nothing. */
#include "conf/print.h"

#include "conf/backend_host.h"
#include "conf/describe.h"
#include "conf/options.h"

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
    bool is_used = config_uses_gate(config);
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
    if (config->global.user[0] == '\0')
        fputs("; warning: [global] user is empty: started as root, postern stays root, with all capabilities\n", out);
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
