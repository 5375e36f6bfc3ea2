//! Tells utoipa, which reads types by their names, what our two names for types of other crates stand for. No more.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    utoipa_config::Config::new()
        .alias_for("Time", "DateTime<Utc>")
        .alias_for("Labels", "BTreeMap<String, String>")
        .write_to_file();
}
