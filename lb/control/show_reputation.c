/* What is known of clients, and why one is vetted or not. */
#include "lb/control/manager.h"
#include "lb/control/verbs.h"

#include <string.h>

static double rounded(double value) {
    return (double)(long long)(value * 100 + (value < 0 ? -0.5 : 0.5)) / 100;
}

static void show_table(struct command *command, const struct reputation *reputation) {
    json_t *row = json_object();
    json_object_set_new(row, "clients", json_integer(reputation->table.count));
    json_object_set_new(row, "places", json_integer((json_int_t)reputation->table.buckets * 8));
    json_object_set_new(row, "vetted", json_integer(reputation_count_vetted(reputation)));
    json_object_set_new(row, "dropped", json_integer((json_int_t)reputation->table.dropped));
    json_object_set_new(row, "refused", json_integer((json_int_t)reputation->table.refused));
    command_reply_value(command, row);
}

static json_t *describe(const struct reputation *reputation, const struct evidence *evidence, bool is_listed,
                        uint16_t today) {
    struct evidence now = *evidence;
    struct vetting vetting;
    double good, bad;
    json_t *row = json_object();
    bool is_vetted = reputation_vet(reputation, evidence, today, &vetting);
    evidence_advance(&now, today, reputation->config);
    evidence_totals(&now, reputation->config, &good, &bad);
    json_object_set_new(row, "vetted", json_boolean(is_vetted || is_listed));
    json_object_set_new(row, "in_allow_file", json_boolean(is_listed));
    json_object_set_new(row, "score", json_real(rounded(vetting.score)));
    json_object_set_new(row, "good", json_real(rounded(good)));
    json_object_set_new(row, "bad", json_real(rounded(bad)));
    json_object_set_new(row, "days", json_integer(now.days));
    json_object_set_new(row, "known_for_days", json_integer(now.days == 0 ? 0 : today - now.first_day));
    json_object_set_new(row, "mails_today", json_integer(now.today_mails));
    json_object_set_new(row, "rejected_today", json_integer(now.today_bad));
    json_object_set_new(row, "mails_in_30_days", json_real(rounded((double)now.month_mails + now.today_mails)));
    json_object_set_new(row, "has_min_score", json_boolean(vetting.has_score));
    json_object_set_new(row, "has_min_days", json_boolean(vetting.has_days));
    json_object_set_new(row, "has_min_age", json_boolean(vetting.has_age));
    json_object_set_new(row, "has_clean_month", json_boolean(vetting.has_clean_month));
    json_object_set_new(row, "has_fcrdns", reputation->config->require_fcrdns ? json_false() : json_null());
    return row;
}

void show_reputation(struct command *command, char **arguments, unsigned count) {
    const struct manager *manager = command->manager;
    const struct reputation *reputation = manager->shared.reputation;
    struct address address;
    if (reputation == NULL) {
        command_fail(command, "[reputation] enabled = no");
        return;
    }
    if (count == 0) {
        show_table(command, reputation);
        return;
    }
    if (address_parse(arguments[0], 25, &address) < 0) {
        command_fail(command, "\"%.80s\" is no address; allowed: as 192.0.2.1 or 2001:db8::1", arguments[0]);
        return;
    }
    const struct evidence none = {0}, *evidence = reputation_table_find(&reputation->table, reputation_key(&address));
    command_reply_value(command,
                        describe(reputation, evidence != NULL ? evidence : &none,
                                 cidr_list_contains(manager->shared.allowed, &address), reputation_day(time(NULL))));
}
