//! The rows of the report, one module each.

pub mod copy;
mod cost;
mod enqueue;
mod fairness;
mod gets;
mod memory;
mod parser;
pub mod plans;
mod puts;
mod ranges;
mod recovery;
mod resolve;
mod resync;
mod rivals;
mod sizes;

use anyhow::Result;

use crate::bed::TestBed;
use crate::figure::Figure;

/// A row, by what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Copy,
    Ranges,
    Gets,
    Puts,
    Resync,
    Memory,
    Fairness,
    Enqueue,
    Resolve,
    Rivals,
    Parser,
    Cost,
    Recovery,
}

impl Row {
    pub const ALL: [Self; 13] = [
        Self::Copy,
        Self::Ranges,
        Self::Gets,
        Self::Puts,
        Self::Resync,
        Self::Memory,
        Self::Fairness,
        Self::Enqueue,
        Self::Resolve,
        Self::Rivals,
        Self::Parser,
        Self::Cost,
        Self::Recovery,
    ];

    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Copy => "import ÷ raw COPY",
            Self::Ranges => "16 ranges ÷ one",
            Self::Gets => "JSON import ÷ GETs alone",
            Self::Puts => "export ÷ PUTs alone",
            Self::Resync => "re-sync without new objects ÷ listing alone",
            Self::Memory => "memory as the bucket grows",
            Self::Fairness => "a small sync beside a giant",
            Self::Enqueue => "syncs asked for over HTTP",
            Self::Resolve => "resolving URIs",
            Self::Rivals => "what a user would pick instead",
            Self::Parser => "the listing's parser",
            Self::Cost => "what a million objects cost",
            Self::Recovery => "going on after the database was disturbed",
        }
    }

    /// Measures the row on a new deployment.
    ///
    /// # Errors
    /// A request failed, or the result was wrong.
    pub async fn measure(self, bed: &TestBed) -> Result<Vec<Figure>> {
        match self {
            Self::Copy => copy::measure(bed).await,
            Self::Ranges => ranges::measure(bed).await,
            Self::Gets => gets::measure(bed).await,
            Self::Puts => puts::measure(bed).await,
            Self::Resync => resync::measure(bed).await,
            Self::Memory => memory::measure(bed).await,
            Self::Fairness => fairness::measure(bed).await,
            Self::Enqueue => enqueue::measure(bed).await,
            Self::Resolve => resolve::measure(bed).await,
            Self::Rivals => rivals::measure(bed).await,
            Self::Parser => parser::measure(bed).await,
            Self::Cost => cost::measure(bed).await,
            Self::Recovery => recovery::measure(bed).await,
        }
    }
}
