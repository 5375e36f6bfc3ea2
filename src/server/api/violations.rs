//! The violations of the last cycle, filtered.

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Limit, List};
use crate::domain::reading::Source;
use crate::domain::rule::Severity;
use crate::domain::time::Time;
use crate::domain::violation::{TrackedViolation, Violation};
use crate::knowledge::documents;
use crate::server::Context;
use crate::server::reply::{ApiError, Params};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ViolationParams {
    /// Only those of this severity.
    #[param(inline)]
    severity: Option<Severity>,
    /// Only those from this source.
    #[param(inline)]
    source: Option<Source>,
    /// Only those of this component; `charter` is Charter as a whole.
    component: Option<String>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// The `next` of the page before; without it the newest.
    #[param(value_type = Option<String>, pattern = r"^-?([0-9]{1,18}|[1-8][0-9]{18})\.[0-9a-f]{32}$")]
    after: Option<Cursor>,
}

impl ViolationParams {
    fn admit(&self, violation: &Violation) -> bool {
        self.severity.is_none_or(|severity| violation.severity == severity)
            && self.source.is_none_or(|source| violation.source == source)
            && self
                .component
                .as_ref()
                .is_none_or(|component| violation.component.as_ref() == Some(component))
    }
}

/// A place in the order of violations that stays right while violations come and go between two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Cursor(Time, Uuid);

impl Cursor {
    fn of(violation: &Violation) -> Self {
        Self(violation.detected_at, violation.id)
    }

    fn text(self) -> String {
        // Nanoseconds overflow only beyond the year 2262; a cursor of such a time would only start over.
        format!("{}.{}", self.0.timestamp_nanos_opt().unwrap_or(i64::MAX), self.1.simple())
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('.').and_then(|(at, id)| {
            Some(Self(DateTime::from_timestamp_nanos(at.parse().ok()?), id.parse().ok()?))
        });
        parsed.ok_or_else(|| format!("{text:?} is not the `next` of a page of violations"))
    }
}

/// Those of the last cycle; where another replica leads, as its last cycle stored them.
pub(super) async fn present(context: &Context) -> Result<Vec<Violation>, ApiError> {
    if context.handle.leader().leads() {
        return Ok(context.handle.view().violations.clone());
    }
    let stored = context.knowledge.all::<TrackedViolation>(Some(documents::ACTIVE)).await?;
    Ok(stored.into_iter().map(|tracked| tracked.violation).collect())
}

/// The active violations, findings of the cluster among them.
#[utoipa::path(
    get,
    path = "/api/v1/violations",
    tag = "Present",
    params(ViolationParams),
    responses((status = 200, description = "A page, newest first.", body = List<Violation>))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Params(params): Params<ViolationParams>,
) -> Result<Json<List<Violation>>, ApiError> {
    let violations = present(&context).await?;
    let mut found: Vec<&Violation> = violations
        .iter()
        .filter(|violation| params.admit(violation))
        .filter(|violation| params.after.is_none_or(|after| Cursor::of(violation) < after))
        .collect();
    found.sort_unstable_by_key(|violation| std::cmp::Reverse(Cursor::of(violation)));
    let more = found.len() > params.limit.get();
    found.truncate(params.limit.get());
    let next = found.last().filter(|_| more).map(|violation| Cursor::of(violation).text());
    Ok(Json(List { items: found.into_iter().cloned().collect(), next, unread: Vec::new() }))
}
