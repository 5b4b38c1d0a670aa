/* The manager's list: what workers see of each change, and that nothing they may still read is freed. */
#include "backends/roster.h"
#include "backends/offers.h"
#include "conf/added_backend.h"
#include "conf/finish.h"
#include "conf/reader.h"
#include "lb/engine/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct config *config;
static struct roster *roster;
static unsigned published, added, removed;

static void on_published(void *context) {
    (void)context;
    published++;
}

static void on_added(void *context, struct backend *backend) {
    (void)context;
    (void)backend;
    added++;
}

static void on_removed(void *context, struct backend *backend) {
    (void)context;
    (void)backend;
    removed++;
}

static void begin_tiers(const char *tier_options, const char *strict_options) {
    static const struct roster_events events = {
        .on_published = on_published, .on_added = on_added, .on_removed = on_removed};
    char text[1000];
    snprintf(
        text, sizeof text,
        "[listen mx]\naddress = 127.0.0.1:2525\n[tier primary]\n%s\n[tier strict]\n%s\n"
        "[backend a]\ntier = primary\naddress = 192.0.2.1:25\n[backend b]\ntier = primary\naddress = 192.0.2.2:25\n"
        "[backend s]\ntier = strict\naddress = 192.0.2.3:25\n",
        tier_options, strict_options);
    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_eq(config_parse("t.ini", text, strlen(text), stderr, &config), 0);
    cr_assert_eq(roster_create(config, 2, 0, &events, &roster), 0);
}

static void begin(const char *tier_options) {
    begin_tiers(tier_options, "check = none");
}

static void end(void) {
    snapshots_offline(roster_snapshots(roster), 0);
    snapshots_offline(roster_snapshots(roster), 1);
    roster_destroy(roster);
    config_free(config);
}

static struct backend *at(const char *name) {
    struct backend *backend = roster_find(roster, name);
    cr_assert_not_null(backend, "%s", name);
    return backend;
}

Test(roster, starting_backends_are_waited_for_and_the_first_pass_serves) {
    begin("");
    cr_assert(roster_view(roster)->tiers[0].is_starting && !roster_view(roster)->tiers[0].is_up);
    cr_assert(roster_view(roster)->tiers[1].is_up, "check = none is up from the start");
    roster_set_health(roster, at("a"), HEALTH_UP, "", 10);
    cr_assert(roster_view(roster)->tiers[0].is_up && !roster_view(roster)->tiers[0].is_starting);
    cr_assert(roster_view(roster)->tiers[0].members[0].is_usable &&
              roster_view(roster)->tiers[0].members[1].is_starting);
    cr_assert_eq(published, 1);
    end();
}

Test(roster, an_operators_override_hides_nobodys_health) {
    begin("");
    roster_force_tier(roster, 1, 5);
    cr_assert(roster_view(roster)->tiers[0].is_unprobed && !roster_view(roster)->tiers[0].is_starting);
    roster_set_health(roster, at("a"), HEALTH_UP, "", 10);
    cr_assert(roster_view(roster)->tiers[0].is_healthy && !roster_view(roster)->tiers[0].is_up);
    cr_assert(roster_view(roster)->tiers[1].is_healthy && roster_view(roster)->tiers[1].is_up);
    roster_set_health(roster, at("s"), HEALTH_DOWN, "EHLO: 451", 20);
    cr_assert(!roster_view(roster)->tiers[1].is_healthy && roster_view(roster)->tiers[1].is_up);
    roster_force_tier(roster, TIER_AUTO, 30);
    cr_assert(roster_view(roster)->tiers[0].is_up && !roster_view(roster)->tiers[1].is_up);
    end();
}

Test(roster, without_a_lower_tier_that_serves_there_is_nothing_to_fail_back_from) {
    begin("failback-delay = 10s");
    roster_set_health(roster, at("a"), HEALTH_UP, "", 0);
    roster_set_health(roster, at("s"), HEALTH_DOWN, "EHLO: 451", 500);
    roster_set_health(roster, at("a"), HEALTH_DOWN, "EHLO: 451", 1000);
    cr_assert_not(roster_view(roster)->tiers[0].is_up);
    roster_set_health(roster, at("a"), HEALTH_UP, "", 1500);
    cr_assert(roster_view(roster)->tiers[0].is_up, "clients would be told 421 for ten seconds");
    end();
}

Test(roster, the_tier_hands_over_when_its_last_goes_down_and_comes_back_after_the_delay) {
    begin("failback-delay = 10s");
    roster_set_health(roster, at("a"), HEALTH_UP, "", 0);
    roster_set_health(roster, at("b"), HEALTH_UP, "", 0);
    roster_set_health(roster, at("a"), HEALTH_DOWN, "EHLO: 451", 1000);
    cr_assert_str_eq(at("a")->health_reason, "EHLO: 451");
    cr_assert(roster_view(roster)->tiers[0].is_up);
    roster_set_health(roster, at("b"), HEALTH_GOING_DOWN, "x", 1000);
    cr_assert(roster_view(roster)->tiers[0].is_up, "going down is still usable");
    roster_set_health(roster, at("b"), HEALTH_DOWN, "x", 1000);
    cr_assert_not(roster_view(roster)->tiers[0].is_up);
    cr_assert_not(roster_view(roster)->tiers[0].is_starting);
    roster_set_health(roster, at("b"), HEALTH_UP, "", 2000);
    roster_tick(roster, 11999);
    cr_assert_not(roster_view(roster)->tiers[0].is_up);
    roster_tick(roster, 12000);
    cr_assert(roster_view(roster)->tiers[0].is_up);
    end();
}

Test(roster, drain_and_maint_take_no_sessions_and_after_maint_it_is_probed_anew) {
    begin("");
    roster_set_health(roster, at("a"), HEALTH_UP, "", 0);
    roster_set_health(roster, at("b"), HEALTH_UP, "", 0);
    unsigned before = published;
    roster_set_admin(roster, at("a"), BACKEND_DRAIN, 1);
    roster_set_admin(roster, at("a"), BACKEND_DRAIN, 1);
    cr_assert_eq(published, before + 1);
    cr_assert_not(roster_view(roster)->tiers[0].members[0].is_usable);
    roster_set_admin(roster, at("a"), BACKEND_READY, 2);
    cr_assert(roster_view(roster)->tiers[0].members[0].is_usable);
    roster_set_admin(roster, at("a"), BACKEND_MAINT, 3);
    roster_set_admin(roster, at("a"), BACKEND_READY, 4);
    cr_assert(roster_view(roster)->tiers[0].members[0].is_starting);
    cr_assert_not(roster_view(roster)->tiers[0].members[0].is_usable);
    roster_set_weight(roster, at("b"), 0, 5);
    cr_assert_eq(roster_view(roster)->tiers[0].members[1].weight, 0);
    end();
}

static struct backend *add(const char *name, int wanted) {
    char address[] = "address", value[] = "192.0.2.9:25", tier[] = "tier", primary[] = "primary", error[200];
    char *words[] = {tier, primary, address, value};
    struct config_backend backend_config;
    struct backend *backend = NULL;
    cr_assert_eq(config_parse_backend(config, name, words, 4, &backend_config, error, sizeof error), 0, "%s", error);
    int result = roster_add(roster, &backend_config, 0, &backend);
    cr_assert_eq(result, wanted, "%s: %d", name, result);
    config_backend_finish(&backend_config);
    return backend;
}

Test(roster, an_added_backend_appears_and_a_deleted_one_is_freed_after_its_last_session) {
    begin("");
    struct backend *backend = add("c", 0);
    cr_assert(backend->was_added && backend->id == 3 && added == 1);
    add("c", -EEXIST);
    cr_assert_eq(roster_view(roster)->tiers[0].members_count, 3);
    const struct view *old = snapshots_online(roster_snapshots(roster), 0);
    cr_assert(backend_take_slot(backend, 0));
    cr_assert_eq(roster_remove(roster, backend, false, 1), -EBUSY);
    cr_assert_eq(roster_view(roster)->tiers[0].members_count, 3);
    cr_assert_eq(roster_remove(roster, backend, true, 1), 0);
    cr_assert(removed == 1 && roster_find(roster, "c") == NULL && roster_view(roster)->tiers[0].members_count == 2);
    roster_tick(roster, 2);
    cr_assert_eq(old->tiers[0].members[2].backend, backend, "the worker's view still lists it");
    cr_assert_eq(add("d", 0)->id, 4, "its id is not free yet");
    snapshots_offline(roster_snapshots(roster), 0);
    roster_tick(roster, 3);
    cr_assert(backend->is_deleted, "a session still runs on it");
    backend_release_slot(backend, 0);
    roster_tick(roster, 4);
    cr_assert_eq(add("e", 0)->id, 3, "now it is freed");
    end();
}

Test(roster, more_backends_than_the_bound_are_refused) {
    begin("");
    char name[16];
    for (unsigned i = roster_count(roster); i < BACKENDS_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        add(name, 0);
    }
    add("one-more", -ENOSPC);
    cr_assert_eq(roster_count(roster), BACKENDS_MAX);
    cr_assert_str_eq(roster_at(roster, BACKENDS_MAX - 1)->name, "n255");
    end();
}

/* --- what a tier with a gate offers --- */

static const char *offer_of(unsigned tier) {
    return roster_view(roster)->tiers[tier].offer;
}

Test(roster, a_gated_tier_offers_what_all_its_usable_backends_do) {
    begin_tiers("gate = on", "check = ehlo");
    cr_assert_str_eq(offer_of(0), "", "unknown");
    roster_set_offer(roster, at("a"), "PIPELINING\nSIZE 200\nDSN\n", false, 1);
    roster_set_offer(roster, at("b"), "SIZE 100\nPIPELINING\nCHUNKING\n", false, 1);
    cr_assert_str_eq(offer_of(0), "PIPELINING\nSIZE 100\n", "none is usable yet: all that were heard");
    roster_set_health(roster, at("b"), HEALTH_UP, "", 2);
    cr_assert_str_eq(offer_of(0), "SIZE 100\nPIPELINING\nCHUNKING\n");
    roster_set_health(roster, at("a"), HEALTH_UP, "", 3);
    cr_assert_str_eq(offer_of(0), "PIPELINING\nSIZE 100\n");
    roster_set_admin(roster, at("b"), BACKEND_DRAIN, 4);
    cr_assert_str_eq(offer_of(0), "PIPELINING\nSIZE 200\nDSN\n");
    roster_set_offer(roster, at("s"), "DSN\n", false, 5);
    cr_assert_str_eq(offer_of(1), "DSN\n", "a gate wants to know what other tiers take");
    end();
}

Test(roster, a_changed_offer_is_a_new_view_and_the_same_one_is_not) {
    begin_tiers("", "gate = on");
    published = 0;
    roster_set_offer(roster, at("s"), "DSN\n", false, 1);
    cr_assert(published == 1 && strcmp(offer_of(1), "DSN\n") == 0);
    roster_set_offer(roster, at("s"), "DSN\n", false, 2);
    cr_assert_eq(published, 1);
    roster_set_offer(roster, at("s"), "", false, 3);
    cr_assert(published == 2 && strcmp(offer_of(1), "") == 0);
    end();
}

Test(roster, a_backend_that_has_moved_offers_the_same_until_it_is_probed) {
    struct address moved;
    begin_tiers("", "gate = on");
    roster_set_offer(roster, at("s"), "DSN\n", false, 1);
    roster_set_health(roster, at("s"), HEALTH_UP, "", 1);
    cr_assert_eq(address_parse("192.0.2.33:25", 0, &moved), 0);
    cr_assert_eq(roster_replace(roster, at("s"), &moved, 2), 0);
    cr_assert(backend_is_usable(at("s")) && strcmp(offer_of(1), "DSN\n") == 0);
    end();
}

Test(roster, what_a_gated_tier_lacks_is_named_with_the_tier_that_has_it) {
    struct tier_offers offers;
    char text[OFFER_LACKING_MAX];
    struct backend *backends[3];
    begin_tiers("", "gate = on");
    for (unsigned i = 0; i < 3; i++)
        backends[i] = roster_at(roster, i);
    memset(&offers, 0, sizeof offers);
    roster_set_offer(roster, at("s"), "PIPELINING\nSIZE 100\n", false, 1);
    cr_assert(tier_offers_update(&offers, config, backends, 3));
    tier_offers_lacking(&offers, config, 1, text);
    cr_assert_str_eq(text, "", "nothing is known of the others");
    roster_set_offer(roster, at("a"), "CHUNKING\nSIZE 200\nPIPELINING\nDSN\nSMTPUTF8\n", false, 1);
    roster_set_offer(roster, at("b"), "CHUNKING\nSIZE 200\nDSN\n", false, 1);
    cr_assert(tier_offers_update(&offers, config, backends, 3));
    cr_assert_not(tier_offers_update(&offers, config, backends, 3), "nothing has changed");
    tier_offers_lacking(&offers, config, 1, text);
    cr_assert_str_eq(text, "CHUNKING DSN (tier primary)");
    end();
}

/* Whether talking before the greeting tells something about a client. */
Test(roster, one_invitation_to_talk_early_counts_for_good_and_of_the_gate_nothing_is_learnt) {
    begin_tiers("", "gate = on");
    atomic_uint *early_talk = roster_view(roster)->early_talk;
    cr_assert_eq(atomic_load(early_talk), EARLY_TALK_UNKNOWN);
    roster_set_offer(roster, at("s"), "DSN\n", false, 1);
    cr_assert_eq(atomic_load(early_talk), EARLY_TALK_UNKNOWN, "what the gate's host says reaches nobody");
    roster_set_offer(roster, at("a"), "DSN\n", false, 1);
    cr_assert_eq(atomic_load(early_talk), EARLY_TALK_UNINVITED);
    roster_set_offer(roster, at("a"), "DSN\n", true, 2);
    cr_assert_eq(atomic_load(early_talk), EARLY_TALK_INVITED);
    roster_set_offer(roster, at("a"), "DSN\n", false, 3);
    cr_assert_eq(atomic_load(early_talk), EARLY_TALK_INVITED, "clients remember it");
    end();
    begin_tiers("gate = on", "gate = on");
    cr_assert_eq(atomic_load(roster_view(roster)->early_talk), EARLY_TALK_UNINVITED, "the gate invites nobody");
    end();
}
