/* Whose failure an error of a connection is: what we lack ourselves is held against no peer. */
#include "lb/engine/failure.h"

#include <criterion/criterion.h>
#include <string.h>

Test(failure, an_error_is_held_against_him_whose_it_is_alone) {
    static const struct {
        int error;
        enum failure failure;
    } rows[] = {
        {0, FAILURE_OF_PEER},
        {-ECONNREFUSED, FAILURE_OF_PEER},
        {-ECONNRESET, FAILURE_OF_PEER},
        {-EPIPE, FAILURE_OF_PEER},
        {-EHOSTUNREACH, FAILURE_OF_PEER},
        {-ETIMEDOUT, FAILURE_SILENCE},
        {-EADDRNOTAVAIL, FAILURE_OF_NOBODY},
        {-EAGAIN, FAILURE_OF_NOBODY},
        {-EMFILE, FAILURE_SHORTAGE},
        {-ENFILE, FAILURE_SHORTAGE},
        {-ENOBUFS, FAILURE_SHORTAGE},
        {-ENOMEM, FAILURE_SHORTAGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(failure_of_error(rows[i].error), rows[i].failure, "%s", strerror(-rows[i].error));
        cr_assert_eq(is_shortage(rows[i].error), rows[i].failure == FAILURE_SHORTAGE);
    }
}
