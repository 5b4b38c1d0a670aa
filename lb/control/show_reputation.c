/* The verb `show reputation`: what is known of clients, and why one is vetted or not. It changes nothing. */
#include "lb/control/show_reputation.h"

#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/scope.h"
#include "lb/relay/worker.h"
#include "lb/reputation/hosts.h"
#include "lb/reputation/keeper.h"
#include "lb/reputation/lookups.h"
#include "lb/reputation/reputation.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static double rounded(double value) {
    return (double)(long long)(value * 100 + (value < 0 ? -0.5 : 0.5)) / 100;
}

static json_t *age(uint32_t then_s, uint32_t now_s) {
    return then_s == 0 ? json_null() : json_integer(now_s > then_s ? now_s - then_s : 0);
}

/* --- the table --- */

static json_t *describe_lists(const struct reputation *reputation) {
    char text[1024] = "";
    size_t length = 0;
    for (unsigned i = 0; i < reputation->lists_count && length < sizeof text; i++) {
        const struct dnslist *list = &reputation->lists[i];
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s%s %s%s%s", i > 0 ? ", " : "", list->config->name,
                             dnslist_state_name(list->state), list->why[0] != '\0' ? ": " : "", list->why);
    }
    return json_string(text);
}

static void show_table(struct command *command, const struct control_scope *scope) {
    const struct reputation *reputation = scope->reputation;
    struct lookups_stats lookups;
    lookups_read_stats(scope->lookups, &lookups);
    json_t *row = json_object();
    json_object_set_new(row, "clients", json_integer(reputation->table.count));
    json_object_set_new(row, "is_full", json_boolean(reputation->table.dropped > 0 || reputation->table.refused > 0));
    json_object_set_new(row, "places", json_integer(reputation_table_places(&reputation->table)));
    json_object_set_new(row, "vetted", json_integer(reputation_count_vetted(reputation)));
    json_object_set_new(row, "dropped", json_integer((json_int_t)reputation->table.dropped));
    json_object_set_new(row, "refused", json_integer((json_int_t)reputation->table.refused));
    json_object_set_new(row, "lookups_running", json_integer(lookups.running));
    json_object_set_new(row, "lookups_waiting", json_integer(lookups.waiting));
    json_object_set_new(row, "lookups_done", json_integer((json_int_t)lookups.done));
    json_object_set_new(row, "lookups_dropped", json_integer((json_int_t)lookups.dropped));
    json_object_set_new(row, "kept", json_string(scope->keeper == NULL ? "no" : keeper_state(scope->keeper)));
    json_object_set_new(row, "lists", describe_lists(reputation));
    command_reply_value(command, row);
}

/* --- one client --- */

static const char *name_text(const struct client_dns *dns) {
    static const char *const texts[] = {"unknown", "none that leads back", "confirmed"};
    return texts[dns->name];
}

static json_t *list_names(const struct reputation *reputation, unsigned mask) {
    char text[512] = "";
    size_t length = 0;
    for (unsigned i = 0; i < reputation->lists_count && length < sizeof text; i++)
        if (mask >> i & 1u)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", length > 0 ? " " : "",
                                       reputation->lists[i].config->name);
    return json_string(text);
}

static json_t *parent_text(const struct reputation *reputation, const struct vetting *vetting, uint64_t key) {
    char text[ADDRESS_TEXT_MAX];
    if (vetting->parent == 0)
        return json_string("");
    if (vetting->parent != parent_of_network(key))
        return json_string(parents_name(&reputation->parents, vetting->parent));
    struct address network = reputation_key_address(vetting->parent, 0);
    address_format_host(&network, text);
    return json_sprintf("%s/%u", text, network.sa.sa_family == AF_INET ? 24u : 48u);
}

static void add_evidence(json_t *row, const struct reputation *reputation, const struct client *client,
                         uint32_t now_s) {
    struct evidence now = client->evidence;
    uint16_t today = reputation_day(now_s);
    double good, bad;
    evidence_advance(&now, today, reputation->config);
    evidence_totals(&now, reputation->config, &good, &bad);
    json_object_set_new(row, "good", json_real(rounded(good)));
    json_object_set_new(row, "bad", json_real(rounded(bad)));
    json_object_set_new(row, "days", json_integer(now.days));
    json_object_set_new(row, "known_for_days", json_integer(now.days == 0 ? 0 : today - now.first_day));
    json_object_set_new(row, "mails_today", json_integer(now.today_mails));
    json_object_set_new(row, "rejected_today", json_integer(now.today_bad));
    json_object_set_new(row, "mails_in_30_days", json_real(rounded((double)now.month_mails + now.today_mails)));
    json_object_set_new(row, "rejected_in_30_days", json_real(rounded((double)now.month_bad + now.today_bad)));
    for (unsigned kind = 0; kind < EVIDENCE_KINDS; kind++)
        if (now.seen[kind] > 0)
            json_object_set_new(row, evidence_text((enum evidence_kind)kind), json_integer(now.seen[kind]));
}

/* Of this address; of another one of its /64 only what follows from it is told. */
static void add_dns(json_t *row, const struct reputation *reputation, const struct client_dns *dns,
                    const struct vetting *vetting, uint32_t now_s) {
    json_object_set_new(row, "name", json_string(name_text(dns)));
    json_object_set_new(row, "name_age_s", age(dns->name_s, now_s));
    json_object_set_new(row, "domain",
                        json_string(dns->domain == 0 ? "" : parents_name(&reputation->parents, dns->domain)));
    json_object_set_new(row, "listed_by", list_names(reputation, dns->listed));
    json_object_set_new(row, "lists_age_s", age(dns->lists_s, now_s));
    json_object_set_new(row, "has_fcrdns", json_boolean(vetting->has_fcrdns));
    json_object_set_new(row, "has_list_answers", json_boolean(vetting->has_list_answers));
    json_object_set_new(row, "vetoed_by", list_names(reputation, vetting->vetoes));
    json_object_set_new(row, "halved_by_allow_list", json_boolean(vetting->is_halved));
}

static json_t *describe(const struct control_scope *scope, const struct address *address, const struct client *client,
                        uint32_t now_s) {
    static const char *const decrees[] = {"", "vetted", "refused"};
    const struct reputation *reputation = scope->reputation;
    const struct access *access = atomic_load(&scope->shared->access);
    static const struct client_dns nothing;
    uint64_t key = reputation_key(address), host = reputation_host(address);
    const struct client_dns *dns = hosts_find(client, host);
    struct vetting vetting;
    char key_text[CLIENT_KEY_TEXT_MAX];
    json_t *row = json_object();
    bool is_allowed = network_file_has_address(&access->allowed, address);
    bool is_denied = network_file_has_address(&access->denied, address);
    reputation_explain(reputation, key, host, client, now_s, &vetting);
    json_object_set_new(row, "client", json_string(client_key_text(address, key_text)));
    json_object_set_new(row, "vetted", json_boolean((vetting.is_vetted || is_allowed) && !is_denied));
    json_object_set_new(row, "in_allow_file", json_boolean(is_allowed || vetting.is_by_file));
    json_object_set_new(row, "in_deny_file", json_boolean(is_denied));
    json_object_set_new(row, "set_by_operator", json_string(decrees[client->decree]));
    json_object_set_new(row, "score", json_real(rounded(vetting.score)));
    json_object_set_new(row, "has_min_score", json_boolean(vetting.has_score));
    json_object_set_new(row, "has_min_days", json_boolean(vetting.own.has_days));
    json_object_set_new(row, "has_min_age", json_boolean(vetting.own.has_age));
    json_object_set_new(row, "has_clean_month", json_boolean(vetting.own.has_clean_month));
    json_object_set_new(row, "by_big_provider", json_boolean(vetting.is_by_provider));
    add_evidence(row, reputation, client, now_s);
    json_object_set_new(row, "prior_from", parent_text(reputation, &vetting, key));
    json_object_set_new(row, "prior_bound",
                        vetting.parent == 0 ? json_null() : json_real(rounded(vetting.parent_bound)));
    json_object_set_new(row, "prior_good", json_real(rounded(vetting.prior.a)));
    json_object_set_new(row, "prior_bad", json_real(rounded(vetting.prior.b)));
    add_dns(row, reputation, dns != NULL ? dns : &nothing, &vetting, now_s);
    return row;
}

void show_reputation(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    struct address address;
    if (!command_has_reputation(command))
        return;
    if (count == 0) {
        show_table(command, scope);
        return;
    }
    if (!command_parse_client(command, arguments[0], &address))
        return;
    const struct client none = {0};
    const struct client *client = reputation_table_find(&scope->reputation->table, reputation_key(&address));
    command_reply_value(command, describe(scope, &address, client != NULL ? client : &none, (uint32_t)time(NULL)));
}
