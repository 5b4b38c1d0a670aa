/* What an operator reads of what a verb has found. */
#include "lb/control/value_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void check(const char *json, const char *expected) {
    json_t *value = json_loads(json, 0, NULL);
    char *text = value_text(value);
    cr_assert_str_eq(text, expected);
    free(text);
    json_decref(value);
}

Test(value_text, columns_are_as_wide_as_their_widest_cell) {
    check("[{\"name\": \"vm1\", \"sessions\": 1234567890, \"up\": true}, {\"name\": \"bastion\", \"sessions\": 2, "
          "\"up\": false}]",
          "name     sessions    up\n"
          "vm1      1234567890  yes\n"
          "bastion  2           no\n");
}

Test(value_text, what_is_not_there_is_a_dash_so_that_columns_stay) {
    check("[{\"address\": null, \"reason\": \"\", \"share\": 0.5}]", "address  reason  share\n-        -       0.50\n");
}

Test(value_text, an_object_is_a_line_for_each_name) {
    check("{\"version\": \"1\", \"sessions\": 0}", "version: 1\nsessions: 0\n");
}

Test(value_text, nothing_is_said_of_nothing) {
    check("[]", "");
}
