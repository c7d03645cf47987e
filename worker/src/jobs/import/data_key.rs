//! Finds the data key of a sync's blob tasks.

use longshore_items::DataKey;
use longshore_model::MAX_LABEL_CONFIG;

use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;

/// Reads the data key of a label config; a large one on a blocking thread.
///
/// # Errors
/// It is larger than the API accepts.
pub(super) async fn data_key(label_config: &str) -> Result<DataKey, JobError> {
    /// Bytes up to which a config is read on the caller's thread: that takes about 50 microseconds.
    const SMALL: usize = 16 * 1024;
    match label_config.len() {
        0..=SMALL => Ok(DataKey::of(label_config)),
        length if length <= MAX_LABEL_CONFIG => {
            let label_config = label_config.to_owned();
            Ok(Prefetch::compute(move |_| DataKey::of(&label_config)).result().await)
        }
        _ => Err(JobError::Settings(format!("the project's label config has more than {MAX_LABEL_CONFIG} bytes"))),
    }
}
