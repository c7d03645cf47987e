//! Every hot statement finds its rows by an index and touches few pages, whatever the planner knows of the tables;
//! `longshore-bench --plans 10000000` asks the same of ten million rows.

use longshore_tests::plans::{PlanMode, Plans, Server, Statistics, Step};

/// Enough that a table read whole shows, and that the planner never prefers it.
const ROWS: i64 = 100_000;

/// Explains every hot statement in every kind of session and collects what is wrong.
async fn faults(statistics: Statistics, seq_scans: bool) -> Vec<String> {
    let server = Server::start().await.expect("a server");
    let mut plans =
        Plans::fill(&server.postgres, "plans", ROWS, seq_scans, statistics).await.expect("a filled database");
    let mut faults = Vec::new();
    for mode in PlanMode::ALL {
        let steps = plans.explain(mode).await.expect("plans of the hot statements");
        faults.extend(steps.iter().filter_map(Step::fault).map(|fault| format!("{mode:?} plans: {fault}")));
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_finds_its_rows_by_an_index_and_touches_few_pages() {
    let faults = faults(Statistics::Current, false).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Goal: a first import or export is not quadratic. Method: the tables are analyzed while they are empty and then
/// filled; nothing is switched off in the planner.
#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_touches_few_pages_of_tables_that_grew_from_empty_since_they_were_analyzed() {
    let faults = faults(Statistics::OfEmptyTables, true).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The same, but the statistics are of a few rows that have nothing to do with those asked for.
#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_touches_few_pages_of_tables_that_grew_from_a_few_rows_since_they_were_analyzed() {
    let faults = faults(Statistics::OfFewRows, true).await;
    assert!(faults.is_empty(), "{faults:#?}");
}
