/* The rules: each is a question about what the client has said, violated or not. Which are asked, in which order, and
 * what is answered stands in rules.def. envelope.c goes through them at MAIL and RCPT. Pure. */
#include "lb/gate/rules.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum stage { STAGE_MAIL, STAGE_CLIENT, STAGE_HELO, STAGE_SENDER, STAGE_RECIPIENT };

/* --- who is not admitted --- */

/* These rows judge nobody else. */
static bool violates_not_vetted(const struct gate *gate, const struct gate_policy *policy) {
    (void)gate;
    return policy->standing == STANDING_NOT_VETTED;
}

static bool violates_check(const struct gate *gate, const struct gate_policy *policy) {
    (void)gate;
    return policy->standing == STANDING_CHECK;
}

/* --- size --- */

static bool is_over(const struct gate *gate, uint64_t limit) {
    return limit != 0 && gate->parameters.has_size && gate->parameters.size > limit;
}

/* A mail that the site takes at other times must not be bounced by its sender today. */
static bool violates_size(const struct gate *gate, const struct gate_policy *policy) {
    return is_over(gate, policy->config->message_bytes_max) && !is_over(gate, policy->usual_size_max);
}

static bool violates_size_ever(const struct gate *gate, const struct gate_policy *policy) {
    return is_over(gate, policy->config->message_bytes_max) && is_over(gate, policy->usual_size_max);
}

/* --- client --- */

static bool violates_access_unreadable(const struct gate *gate, const struct gate_policy *policy) {
    struct access_action action;
    (void)gate;
    return gate_tables_access(policy->tables, policy->client, NULL, &action) == TABLE_UNREADABLE;
}

/* A name that could not be looked up is `unknown`, but nobody is refused for good by it: it may be one that would be
 * let in (Postfix' reject_unknown_client_hostname says 450 4.7.25, too). */
static bool find_access(const struct gate *gate, const struct gate_policy *policy, struct access_action *ret_action) {
    static const struct access_action later = {ACCESS_REJECT, 450, "4.7.25",
                                               "Your name can't be looked up now, please try again later"};
    bool is_found = gate_tables_access(policy->tables, policy->client, gate->client_name, ret_action) == TABLE_YES;
    bool is_refused = is_found && ret_action->kind == ACCESS_REJECT;
    if (is_refused && gate->client_name_has_failed && ret_action->code / 100 == 5 &&
        !gate_tables_bars(policy->tables, policy->client))
        *ret_action = later;
    return is_refused;
}

static bool violates_access(const struct gate *gate, const struct gate_policy *policy) {
    struct access_action action;
    return find_access(gate, policy, &action);
}

/* --- HELO --- */

static bool violates_helo_required(const struct gate *gate, const struct gate_policy *policy) {
    (void)policy;
    return !gate->has_helo;
}

/* A dot at its end does not count, as in a name. */
static bool is_bare_address(const char *text, size_t length) {
    char host[INET6_ADDRSTRLEN + 1];
    unsigned char address[16];
    length -= length > 0 && text[length - 1] == '.';
    if (length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return domain_is_ipv4(host, length) || inet_pton(AF_INET6, host, address) == 1;
}

static bool violates_helo_syntax(const struct gate *gate, const struct gate_policy *policy) {
    size_t length = strlen(gate->helo);
    (void)policy;
    return gate->has_helo && !domain_is_valid(gate->helo, length, false) && !domain_is_literal(gate->helo, length) &&
           !is_bare_address(gate->helo, length);
}

static bool violates_helo_fqdn(const struct gate *gate, const struct gate_policy *policy) {
    size_t length = strlen(gate->helo);
    (void)policy;
    return gate->has_helo && !domain_is_fqdn(gate->helo, length, false) && !domain_is_literal(gate->helo, length);
}

/* --- sender --- */

static bool violates_sender_fqdn(const struct gate *gate, const struct gate_policy *policy) {
    const struct smtp_path *sender = &gate->sender;
    (void)policy;
    return !sender->is_null && !sender->is_literal && !domain_is_fqdn(sender->domain, strlen(sender->domain), true);
}

/* An answer that did not come is no proof of anything: 4xx as well. */
static bool violates_sender_domain(const struct gate *gate, const struct gate_policy *policy) {
    (void)policy;
    return gate_has_domain_to_ask(gate) &&
           (gate->sender_domain == MAIL_DOMAIN_UNKNOWN || gate->sender_domain == MAIL_DOMAIN_FAILED);
}

static bool violates_sender_null_mx(const struct gate *gate, const struct gate_policy *policy) {
    (void)policy;
    return gate_has_domain_to_ask(gate) && gate->sender_domain == MAIL_DOMAIN_NULL_MX;
}

/* --- recipient --- */

static bool is_bare_postmaster(const struct smtp_path *recipient) {
    return recipient->domain[0] == '\0' && strcasecmp(recipient->local_part, "postmaster") == 0;
}

static bool violates_recipient_fqdn(const struct gate *gate, const struct gate_policy *policy) {
    const struct smtp_path *recipient = &gate->recipient;
    (void)policy;
    return !recipient->is_literal && !is_bare_postmaster(recipient) &&
           !domain_is_fqdn(recipient->domain, strlen(recipient->domain), true);
}

/* "x%other@ours", "other!x@ours", "\"x@other\"@ours": a host behind might send those on. */
static bool violates_recipient_routing(const struct gate *gate, const struct gate_policy *policy) {
    (void)policy;
    return strpbrk(gate->recipient.local_part, "%!@") != NULL;
}

/* Subdomains of ours, and addresses in brackets, which may be the hosts' own: whether the site takes mail for them is
 * written in places that the gate does not see (Postfix' parent_domain_matches_subdomains, inet_interfaces). */
static bool may_be_ours(const struct gate *gate, const struct gate_policy *policy) {
    const char *domain = gate->recipient.domain;
    if (gate->recipient.is_literal)
        return true;
    for (const char *dot = strchr(domain, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        if (gate_tables_relays(policy->tables, dot + 1) == TABLE_YES)
            return true;
    return false;
}

static enum table_answer relays(const struct gate *gate, const struct gate_policy *policy) {
    if (is_bare_postmaster(&gate->recipient))
        return TABLE_IS_OFF;
    return gate_tables_relays(policy->tables, gate->recipient.domain);
}

static bool violates_relay_unreadable(const struct gate *gate, const struct gate_policy *policy) {
    return relays(gate, policy) == TABLE_UNREADABLE;
}

static bool violates_relay_unclear(const struct gate *gate, const struct gate_policy *policy) {
    return relays(gate, policy) == TABLE_NO && may_be_ours(gate, policy);
}

static bool violates_relay(const struct gate *gate, const struct gate_policy *policy) {
    return relays(gate, policy) == TABLE_NO && !may_be_ours(gate, policy);
}

static bool violates_recipients_unreadable(const struct gate *gate, const struct gate_policy *policy) {
    return gate_tables_has_recipient(policy->tables, gate->recipient.local_part, gate->recipient.domain) ==
           TABLE_UNREADABLE;
}

static bool violates_recipients(const struct gate *gate, const struct gate_policy *policy) {
    return gate_tables_has_recipient(policy->tables, gate->recipient.local_part, gate->recipient.domain) == TABLE_NO;
}

/* --- the table --- */

struct rule {
    const char *name;
    enum gate_standing judges;
    bool (*is_on)(const struct config_gate *config);
    bool (*is_violated)(const struct gate *gate, const struct gate_policy *policy);
    enum stage stage;
    enum gate_fact asks;
    struct gate_words reply;
};

#define RULE(name, judges, is_on, stage, asks, code, reply, postfix)                                                   \
    static bool name##_is_on(const struct config_gate *config) {                                                       \
        (void)config;                                                                                                  \
        return is_on;                                                                                                  \
    }
#include "lb/gate/rules.def"
#undef RULE

/* A sender that is refused for want of vetting may come back; so may whoever a check stands for. */
#define RULE(name, judges, is_on, stage, asks, code, reply, postfix)                                                   \
    _Static_assert(STANDING_##judges == STANDING_ADMITTED || (code) / 100 == 4, #name " bounces mail");
#include "lb/gate/rules.def"
#undef RULE

static const struct rule rules[GATE_RULES_COUNT] = {
    [GATE_NO_RULE] = {.name = "protocol"},
#define RULE(name, judges, is_on, stage, asks, code, reply, postfix)                                                   \
    [GATE_RULE_##                                                                                                      \
        name] = {#name, STANDING_##judges, name##_is_on, violates_##name, STAGE_##stage, FACT_##asks, {code, reply}},
#include "lb/gate/rules.def"
#undef RULE
};

const char *gate_rule_name(enum gate_rule_id rule) {
    return rules[rule].name;
}

/* What the reply names, without anything that could break it: other octets than printable ASCII become '?'. */
static void write_subject(const struct gate *gate, const struct gate_policy *policy, enum stage stage, char *ret_text,
                          size_t size) {
    switch (stage) {
    case STAGE_MAIL:
        snprintf(ret_text, size, "%s", policy->hostname);
        break;
    case STAGE_CLIENT:
        ret_text[0] = '\0';
        break;
    case STAGE_HELO:
        snprintf(ret_text, size, "%s", gate->helo);
        break;
    case STAGE_SENDER:
        path_format(&gate->sender, ret_text, size);
        break;
    case STAGE_RECIPIENT:
        path_format(&gate->recipient, ret_text, size);
        break;
    }
    for (char *at = ret_text; *at != '\0'; at++)
        *at = *at >= ' ' && *at < 127 ? *at : '?';
}

/* As Postfix names a client: "<name[address]>: Client host rejected: …". */
static void write_access_reply(const struct gate *gate, const struct gate_policy *policy, struct gate_answer *answer) {
    struct access_action action = {.kind = ACCESS_DUNNO};
    char address[ADDRESS_TEXT_MAX], text[GATE_REPLY_MAX - 8];
    (void)find_access(gate, policy, &action);
    snprintf(text, sizeof text, "%s <%s[%s]>: Client host rejected: %s", action.enhanced,
             gate->client_name[0] != '\0' ? gate->client_name : "unknown", address_format_host(policy->client, address),
             action.text);
    answer_say(answer, action.code, text);
}

static void write_reply(const struct gate *gate, const struct gate_policy *policy, const struct rule *rule,
                        struct gate_answer *answer) {
    const char *words = rule->reply.text, *mark = strstr(words, "%s");
    char subject[PATH_TEXT_MAX], text[GATE_REPLY_MAX - 8];
    if (rule->reply.code == 0) {
        write_access_reply(gate, policy, answer);
        return;
    }
    write_subject(gate, policy, rule->stage, subject, sizeof subject);
    if (mark == NULL)
        snprintf(text, sizeof text, "%s", words);
    else
        snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - words), words, subject, mark + 2);
    answer_say(answer, rule->reply.code, text);
}

enum gate_rule_id gate_try_rules(const struct gate *gate, const struct gate_policy *policy, bool is_recipient,
                                 struct gate_answer *ret_answer, bool *ret_waits) {
    *ret_waits = false;
    for (unsigned i = GATE_NO_RULE + 1; i < GATE_RULES_COUNT; i++) {
        const struct rule *rule = &rules[i];
        bool is_asked = rule->judges == policy->standing && (rule->stage != STAGE_MAIL) == is_recipient;
        if (!is_asked || !rule->is_on(policy->config))
            continue;
        if (rule->asks != FACT_NOTHING && gate->facts[rule->asks] != FACT_KNOWN) {
            *ret_waits = true;
            return GATE_NO_RULE;
        }
        if (rule->is_violated(gate, policy)) {
            write_reply(gate, policy, rule, ret_answer);
            return (enum gate_rule_id)i;
        }
    }
    return GATE_NO_RULE;
}

enum gate_next gate_say_error(struct gate *gate, struct gate_answer *ret_answer, unsigned code, const char *text) {
    gate->errors++;
    gate->rule = GATE_NO_RULE;
    return answer_say(ret_answer, code, text);
}
