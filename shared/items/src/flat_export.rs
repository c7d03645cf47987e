//! Items of Label Studio's export format JSON-MIN, in which the labels of an annotation are among the data of its task.

use longshore_db::host::{ControlTag, ControlTags};
use longshore_model::ItemWarning;
use longshore_model::json_parts::{each_element, each_member, is_object, members};

use super::fields::double;
use super::labels::{AnnotationItem, Reading};
use super::members::filled;
use super::native::annotator;
use super::text::Text;
use super::{Budget, Fault};

/// Members that describe the task and its annotation, and are no data.
const DESCRIPTION: &[&str] = &["id", "annotation_id", "created_at", "updated_at"];

/// Members of a value that belong to its region.
const OF_REGION: [&str; 3] = ["original_width", "original_height", "image_rotation"];

/// Parts the annotation from the data of its task: a member with the name of a control tag has labels. `None` if there is no
/// such member.
pub(super) fn part(
    reading: &mut Reading<'_>,
    object: &str,
    controls: &ControlTags,
) -> Result<Option<(Text, AnnotationItem)>, Fault> {
    let (mut data, mut regions) = (String::new(), Regions { text: String::new(), budget: reading.budget });
    let (mut user, mut lead_time, mut has_labels, mut fault) = (None, None, false, None);
    let walked = each_member(object, |name, value| match name {
        _ if fault.is_some() => {}
        "annotator" => user = Some(value),
        "lead_time" => lead_time = Some(value),
        _ if DESCRIPTION.contains(&name) => {}
        _ => match controls.named(name) {
            Some(control) => {
                has_labels = true;
                fault = regions.add_all(control, value).err();
            }
            None => {
                let separator = if data.is_empty() { '{' } else { ',' };
                data.push_str(&format!("{separator}{}:{value}", quoted(name)));
            }
        },
    });
    let regions = regions.text;
    if let Some(fault) = fault {
        return Err(fault.in_row(reading.row));
    }
    if walked.is_err() || !has_labels {
        return Ok(None);
    }
    data.push_str(if data.is_empty() { "{}" } else { "}" });
    let annotation = AnnotationItem {
        result: Some(format!("[{regions}]").into()),
        was_cancelled: false,
        ground_truth: false,
        lead_time: reading.or_warn(double(lead_time), ItemWarning::LeadTimeIgnored),
        completed_by: reading.or_warn(annotator(user), ItemWarning::AnnotatorUnknown),
        details: None,
    };
    Ok(Some((reading.own(data)?, annotation)))
}

/// Regions with commas between them.
struct Regions<'b> {
    text: String,
    budget: &'b mut Budget,
}

impl Regions<'_> {
    /// Adds the regions of a control: a label, the value of a region, or a list of these.
    fn add_all(&mut self, control: &ControlTag, labels: &str) -> Result<(), Fault> {
        let Some(labels) = filled(Some(labels)) else { return Ok(()) };
        if !labels.starts_with('[') {
            return self.add(control, labels);
        }
        let mut fault = None;
        let walked = each_element(labels, |label| {
            fault = self.add(control, label).err();
            fault.is_none()
        });
        // A list in checked JSON can be walked.
        drop(walked);
        fault.map_or(Ok(()), Err)
    }

    fn add(&mut self, control: &ControlTag, label: &str) -> Result<(), Fault> {
        let kind = quoted(&control.kind);
        let value = match &*control.kind {
            _ if is_object(label) => label.to_owned(),
            "textarea" => format!("{{\"text\": [{label}]}}"),
            "rating" | "number" | "datetime" => format!("{{{kind}: {label}}}"),
            _ => format!("{{{kind}: [{label}]}}"),
        };
        let of_region = members(label, OF_REGION).unwrap_or_default();
        let more =
            OF_REGION.iter().zip(of_region).filter_map(|(name, value)| Some(format!(", \"{name}\": {}", value?)));
        let region = format!(
            "{}{{\"from_name\": {}, \"to_name\": {}, \"type\": {kind}, \"value\": {value}{}}}",
            if self.text.is_empty() { "" } else { ", " },
            quoted(&control.name),
            quoted(&control.to_name),
            more.collect::<String>()
        );
        // The text doubles as it grows.
        self.budget.take(2 * region.len())?;
        self.text.push_str(&region);
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
