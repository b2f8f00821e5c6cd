//! Filters and pages of lists.

use super::problem::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The most entries of one answer, and their number where the client says none.
pub(super) const MOST: usize = 500;

/// Which calls of an account are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallFilter {
    direction: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(rename = "callStatus")]
    call_status: Option<String>,
    page: Option<usize>,
    count: Option<usize>,
}

impl CallFilter {
    /// The asked page of what passes.
    pub(super) fn apply(&self, calls: Vec<Map<String, Value>>) -> Result<Vec<Map<String, Value>>, Problem> {
        if let Some(direction) = &self.direction
            && !["inbound", "outbound"].contains(&direction.as_str())
        {
            return Err(Problem::new(400, "direction: inbound or outbound is expected"));
        }
        let count = self.count.unwrap_or(MOST);
        if !(1..=MOST).contains(&count) {
            return Err(Problem::new(400, format!("count: 1 to {MOST} is expected")));
        }
        let Some(skipped) = self.page.unwrap_or(1).checked_sub(1) else {
            return Err(Problem::new(400, "page: pages are counted from 1"));
        };
        let passes = |call: &Map<String, Value>| {
            [
                ("direction", &self.direction),
                ("from", &self.from),
                ("to", &self.to),
                ("call_status", &self.call_status),
            ]
            .iter()
            .all(|(name, wanted)| match wanted {
                Some(wanted) => call.get(*name).and_then(Value::as_str) == Some(wanted),
                None => true,
            })
        };
        let first = skipped.saturating_mul(count);
        Ok(calls
            .into_iter()
            .filter(passes)
            .skip(first)
            .take(count)
            .map(scalars)
            .collect())
    }
}

/// Without nested properties: what an application attached is not listed.
pub(super) fn scalars(call: Map<String, Value>) -> Map<String, Value> {
    let flat = |value: &Value| !value.is_object() && !value.is_array();
    call.into_iter().filter(|(_, value)| flat(value)).collect()
}
