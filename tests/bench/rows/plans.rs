//! How Postgres runs frequent statements on large tables: `--plans <rows>`, not a row of the report.

use anyhow::Result;
use longshore_rig::plans::{PlanMode, Plans, Statistics, Step};

use crate::bed::TestBed;
use crate::figure::{Figure, whole};

/// Fills a database with this many tasks and ledger rows, and checks the plan of every frequent statement, with current
/// statistics and with statistics of empty tables.
///
/// # Errors
/// The database cannot be filled, or a statement fails.
pub async fn measure(bed: &TestBed, rows: i64) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (statistics, about) in
        [(Statistics::Current, "statistics are current"), (Statistics::OfEmptyTables, "statistics of empty tables")]
    {
        let mut plans = Plans::fill(&bed.stack.postgres, "plans", rows, true, statistics).await?;
        let (mut faults, mut count) = (Vec::new(), 0);
        for mode in PlanMode::ALL {
            let steps = plans.explain(mode).await?;
            println!("  {about}, {mode:?} plans");
            for step in &steps {
                println!("  {:<45} {:>6} of {:>6} pages  {}", step.name, step.pages, step.budget, step.nodes);
            }
            faults.extend(steps.iter().filter_map(Step::fault).map(|fault| format!("{mode:?} plans: {fault}")));
            count += steps.len();
        }
        drop(plans);
        bed.drop_database("plans").await?;
        let measure = format!("hot statements that read a whole table or more pages than they may, {about}");
        figures.push(Figure::new(0, measure, faults.len() as f64).at_most(0.0).conditions(format!(
            "{count} statements at {} ledger rows; {}",
            whole(rows as f64),
            faults.join("; ")
        )));
    }
    Ok(figures)
}
