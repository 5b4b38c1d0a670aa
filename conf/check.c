/* Contradictions between options, each said at the section that has to change. */
#include "conf/check.h"

#include "conf/own_address.h"
#include "conf/text_form.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
    void (*report)(void *context, unsigned line, const char *message);
    void *context;
};

__attribute__((format(printf, 3, 4))) static void say(const struct check *check, unsigned line, const char *format,
                                                      ...) {
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    check->report(check->context, line, message);
}

static void check_presence(const struct config *config, const struct check *check) {
    if (config->listens_count == 0)
        say(check, 0, "there is no [listen NAME]; needed: one at least");
    if (config->tiers_count == 0)
        say(check, 0, "there is no [tier NAME]; needed: one at least");
    if (config->backends_count == 0)
        say(check, 0, "there is no [backend NAME]; needed: one at least");
}

static void check_listens(const struct config *config, const struct check *check) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < config->listens_count; i++)
        for (size_t a = 0; a < config->listens[i].addresses.count; a++)
            for (size_t j = 0; j <= i; j++)
                for (size_t b = 0; b < (j == i ? a : config->listens[j].addresses.count); b++)
                    if (address_port(&config->listens[i].addresses.items[a]) != 0 &&
                        address_equal(&config->listens[i].addresses.items[a], &config->listens[j].addresses.items[b]))
                        say(check, config->listens[i].line, "[listen %s] address: %s stands in [listen %s] too",
                            config->listens[i].name, address_format(&config->listens[i].addresses.items[a], text),
                            config->listens[j].name);
}

static void check_keywords(const struct config_tier *tier, const struct check *check) {
    for (size_t i = 0; i < tier->check_require.count; i++)
        if (!text_is_keyword(tier->check_require.items[i]))
            say(check, tier->line, "[tier %s] check-require: \"%.80s\"; allowed: keywords of EHLO, as STARTTLS",
                tier->name, tier->check_require.items[i]);
    if (tier->check_require.count > 0 && tier->check < CHECK_EHLO)
        say(check, tier->line, "[tier %s] check-require: needs check = ehlo, starttls or mail", tier->name);
}

static void check_tiers(const struct config *config, const struct check *check) {
    for (size_t i = 0; i < config->tiers_count; i++) {
        const struct config_tier *tier = &config->tiers[i];
        unsigned count = 0;
        for (size_t b = 0; b < config->backends_count; b++)
            count += strcmp(config->backends[b].tier_name, tier->name) == 0;
        if (count == 0)
            say(check, tier->line, "[tier %s]: has no backend; needed: a [backend NAME] with tier = %s", tier->name,
                tier->name);
        else if (tier->up_min > count)
            say(check, tier->line, "[tier %s] min-up: %u, but it has %u backends: it could never be up", tier->name,
                tier->up_min, count);
        if (tier->check == CHECK_MAIL && tier->check_rcpt[0] == '\0')
            say(check, tier->line, "[tier %s] check: mail needs check-rcpt", tier->name);
        check_keywords(tier, check);
        if (tier->gate && tier->check < CHECK_EHLO)
            say(check, tier->line,
                "[tier %s] gate: needs check = ehlo, starttls or mail: it offers clients what the probe was offered",
                tier->name);
    }
}

static void check_sources(const struct config_backend *backend, const struct check *check) {
    if (backend->source.count == 0 || backend->host == NULL || backend->host_is_name)
        return;
    for (size_t i = 0; i < backend->source.count; i++)
        if (backend->source.items[i].sa.sa_family == backend->address.sa.sa_family)
            return;
    say(check, backend->line, "[backend %s] source: none is of the address family of %s", backend->name, backend->host);
}

static void check_backends(const struct config *config, const struct check *check) {
    char why[300];
    for (size_t i = 0; i < config->backends_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        check_sources(backend, check);
        if (backend->host != NULL && !backend->host_is_name &&
            !config_can_be_backend(config, &backend->address, why, sizeof why))
            say(check, backend->line, "[backend %s] address: %s", backend->name, why);
        for (size_t j = 0; j < i; j++)
            if (config_is_same_host(backend, &config->backends[j]) &&
                strcmp(backend->tier_name, config->backends[j].tier_name) == 0)
                say(check, backend->line,
                    "[backend %s] address: is that of [backend %s] too; in one tier each has its own", backend->name,
                    config->backends[j].name);
    }
}

/* RFC 5782 §2.1: in 127.0.0.0/8. Another one is a typing mistake, and the list would never say anything. */
static bool is_answer(const char *text) {
    struct ipv4_range range;
    return ipv4_range_parse(text, &range) == 0 && range.low >> 24 == 127;
}

static void check_dnslists(const struct config *config, const struct check *check) {
    for (size_t i = 0; i < config->dnslists_count; i++) {
        const struct config_dnslist *list = &config->dnslists[i];
        for (size_t a = 0; a < list->answers.count; a++)
            if (!is_answer(list->answers.items[a]))
                say(check, list->line, "[dnslist %s] answers: \"%.80s\"; allowed: as 127.0.0.9 or 127.0.0.2-7",
                    list->name, list->answers.items[a]);
    }
}

/* c-ares takes no interface with them (ares_set_servers_ports_csv(3), 1.18). */
static void check_dns_servers(const struct config *config, const struct check *check) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < config->dns.servers.count; i++)
        if (address_is_link_local(&config->dns.servers.items[i]))
            say(check, 0, "[dns] servers: %s: a link-local address can't be asked",
                address_format(&config->dns.servers.items[i], text));
}

void config_check(const struct config *config, void (*report)(void *context, unsigned line, const char *message),
                  void *context) {
    struct check check = {report, context};
    check_presence(config, &check);
    check_listens(config, &check);
    check_tiers(config, &check);
    check_backends(config, &check);
    check_dnslists(config, &check);
    check_dns_servers(config, &check);
    if (config->feedback.listen.count > 0 && config->feedback.key_file[0] == '\0')
        say(&check, 0, "[feedback] listen: needs key-file");
}
