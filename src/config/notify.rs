//! The `notify` section.

use super::reader::Section;
use super::values::{base_url, boolean};
use crate::notify::settings::Settings;

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    let mut alertmanager = section.section("alertmanager");
    alertmanager.read("enabled", &mut settings.alertmanager.enabled, boolean);
    alertmanager.optional("url", &mut settings.alertmanager.url, base_url);
    settings.alertmanager.http = alertmanager.http(settings.alertmanager.url.as_ref(), None);
    settings
}
