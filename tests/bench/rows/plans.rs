//! How Postgres answers the hot statements once the tables are large: not a row of the table but `--plans <rows>`.

use anyhow::Result;
use longshore_tests::plans::Plans;

use crate::figure::{Figure, whole};
use crate::world::World;

/// Fills a database with so many tasks and ledger rows, and judges every hot statement's plan.
///
/// # Errors
/// The database cannot be filled, or a statement fails.
pub async fn measure(world: &World, rows: i64) -> Result<Vec<Figure>> {
    let steps = Plans::fill(&world.stack.postgres, "plans", rows, true).await?.explain().await?;
    for step in &steps {
        println!("  {:<45} {:>6} of {:>6} pages  {}", step.name, step.pages, step.budget, step.nodes);
    }
    let faults: Vec<String> = steps.iter().filter_map(|step| step.fault()).collect();
    world.drop_database("plans").await?;
    Ok(vec![
        Figure::new(0, "hot statements that read a whole table or more pages than they may", faults.len() as f64)
            .at_most(0.0)
            .said(format!("{} statements at {} ledger rows; {}", steps.len(), whole(rows as f64), faults.join("; "))),
    ])
}
