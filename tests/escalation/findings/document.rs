//! docs/FINDINGS.md has a place that an alert can link to for every kind.

use mape_k::domain::finding::FindingKind;

#[test]
fn every_kind_has_its_section_under_its_own_name() {
    let page = include_str!("../../../docs/FINDINGS.md");
    for kind in FindingKind::CLUSTER {
        let name = kind.as_str();
        // The anchor of a heading is its text.
        let heading = format!("\n### {name}\n");
        let at = page.find(&heading).unwrap_or_else(|| panic!("{name} has no section"));
        let section = &page[at + heading.len()..];
        let section = section.split("\n### ").next().unwrap_or(section);
        for part in ["**Means**", "**Found**", "**Is not**", "**Do**"] {
            assert!(section.contains(part), "{name} does not say {part}");
        }
        assert!(page.contains(&format!("[{name}](#{name})")), "{name} is not in the table");
    }
}
