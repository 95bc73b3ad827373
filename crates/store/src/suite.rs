//! The conformance suites: what every backend of a trait has to do.
//!
//! A backend's tests call a macro with a name and an expression that opens an empty store; the
//! expression's value dereferences to the backend, so that it may hold a directory as well.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, kept outside of `mod tests` only because other crates run them"
)]

pub mod leases;
pub mod registry;
pub mod shared_log;
pub mod statements;
pub mod usage;

/// Runs the suite of [`crate::Registry`] against a backend.
#[macro_export]
macro_rules! registry_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite_of! { $backend, $open, registry:
            an_entity_is_found_as_it_was_written_until_it_is_deleted
            an_id_is_taken_once_and_kinds_do_not_meet
            what_belongs_to_another_needs_it_and_goes_with_it
            what_is_referred_to_stays_unless_both_go
            an_entity_is_changed_only_as_the_caller_knows_it
            changes_are_made_together_or_not_at_all
            a_rehearsal_answers_as_it_would_be_and_changes_nothing
            lists_come_in_pages_sorted_byte_by_byte
            entities_are_found_by_their_label
            a_use_never_goes_back_and_is_no_change
            a_follower_learns_every_change_once_in_order
            a_follower_reads_in_pages_and_misses_nothing
            what_comes_back_is_no_longer_gone
            collections_leave_nothing_behind
            the_audit_log_is_a_chain_without_gaps
            writers_at_once_take_turns
        }
    };
}

/// Runs the suite of [`crate::UsageTotals`] against a backend.
#[macro_export]
macro_rules! usage_totals_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite_of! { $backend, $open, usage:
            sums_grow_by_what_is_added
            a_batch_counts_once_however_often_it_is_sent
            a_batch_that_does_not_begin_where_the_last_one_ended_changes_nothing
            segments_are_counted_apart
            a_forgotten_segment_begins_again
            a_query_narrows_by_each_name_and_hour
            rows_come_by_hour_and_no_more_than_asked_for
            large_numbers_are_kept
            sums_are_replaced_from_an_hour_on
        }
    };
}

/// Runs the suite of [`crate::Leases`] against a backend, which the expression opens as a
/// [`suite::leases::Bench`](crate::suite::leases::Bench).
#[macro_export]
macro_rules! leases_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite_of! { $backend, $open, leases:
            a_lease_is_found_as_it_was_opened
            what_is_taken_twice_counts_once
            no_group_has_more_than_its_maximum
            a_group_without_a_maximum_only_lists
            askers_at_once_never_get_more_than_the_maximum
            a_lease_that_is_let_go_makes_room_at_once
            a_lease_that_nobody_renews_ends
            a_lease_that_is_renewed_ends_when_it_is_as_old_as_it_may_become
            what_takes_too_long_to_open_is_gone
            what_is_opened_again_takes_the_place_of_what_it_was
            what_is_forgotten_in_the_end_makes_room_and_what_is_to_be_closed_does_not
            the_oldest_gives_its_place_away
            what_gave_its_place_away_counts_again_if_the_place_is_not_used
            nobody_gives_a_place_away_that_is_not_open
            what_is_to_be_closed_is_claimed_once_and_again_after_a_while
            only_the_latest_claim_says_what_became_of_it
            what_was_closed_is_kept_for_a_while
            what_somebody_ends_is_due_at_once
            lists_come_in_pages_in_the_order_of_taking
            any_history_goes_as_it_does_in_memory
        }
    };
}

/// Runs the suite of [`crate::Statements`] against a backend.
#[macro_export]
macro_rules! statements_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite_of! { $backend, $open, statements:
            a_draft_is_kept_as_it_was_made
            a_draft_made_anew_keeps_its_number
            no_hour_of_a_company_is_in_two_statements
            a_closed_statement_never_changes_and_never_goes
            only_what_was_seen_is_closed
            a_draft_goes_and_its_number_does_not_come_back
            credit_notes_give_back_no_more_than_was_paid
            only_a_closed_statement_is_corrected
            statements_are_listed_by_number_in_pages
        }
    };
}

/// Runs the suite of [`crate::SharedLog`] against a backend, which the expression opens as a
/// [`suite::shared_log::Bench`](crate::suite::shared_log::Bench).
#[macro_export]
macro_rules! shared_log_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite_of! { $backend, $open, shared_log:
            what_is_written_is_read_in_order
            a_long_log_is_read_bit_by_bit
            only_whose_turn_it_is_writes_and_only_behind_the_last
            the_turn_goes_to_whoever_asked_first
            a_turn_that_nobody_uses_ends_and_its_batch_is_refused
            a_place_that_the_log_never_had_is_gone
            a_log_that_is_shortened_has_a_base_instead
            a_reader_begins_where_the_log_ends_and_goes_on_where_it_was
            one_node_reads_for_a_reader_until_it_says_nothing_for_a_while
            what_a_reader_has_not_read_outlives_that_the_log_is_shortened
        }
    };
}

/// One test per promise.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_of {
    ($backend:ident, $open:expr, $suite:ident: $($promise:ident)*) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $promise() {
                    let opened = $open;
                    $crate::suite::$suite::$promise(&*opened).await;
                }
            )*
        }
    };
}
