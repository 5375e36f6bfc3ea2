//! The section Troubleshooting of docs/OPERATIONS.md as data: symptoms, how each is rehearsed, and numbered steps of a
//! command and the evidence that it gives. Leaves out running them (`tests/e2e/troubleshooting.rs`).

/// A heading under `## Troubleshooting`.
#[derive(Debug)]
pub struct Symptom {
    pub title: String,
    /// Commands of lines `To rehearse it: …` and `To undo it: …`, in backticks.
    pub make: Vec<String>,
    pub undo: Vec<String>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    pub number: usize,
    /// The sh block, to be typed as it stands.
    pub command: String,
    /// The text block: what the output contains, `…` standing for anything.
    pub evidence: String,
}

/// `Err` names the line that is not of the form.
pub fn sections(page: &str) -> Result<Vec<Symptom>, String> {
    let mut symptoms: Vec<Symptom> = Vec::new();
    let mut lines = page
        .lines()
        .enumerate()
        .skip_while(|(_, line)| *line != "## Troubleshooting")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "));
    while let Some((at, line)) = lines.next() {
        let said = |problem: &str| format!("docs/OPERATIONS.md, line {}: {problem}", at + 1);
        if let Some(title) = line.strip_prefix("### ") {
            let title = title.to_owned();
            symptoms.push(Symptom { title, make: vec![], undo: vec![], steps: vec![] });
            continue;
        }
        let text = line.trim_start();
        let numbered = text.split_once(". ").and_then(|(number, _)| number.parse::<usize>().ok());
        let is_block = text == "```sh" || text == "```text";
        if numbered.is_none() && !is_block && !text.starts_with("To ") {
            continue;
        }
        let symptom = symptoms.last_mut().ok_or_else(|| said("stands before any symptom"))?;
        if let Some(number) = numbered {
            if number != symptom.steps.len() + 1 {
                return Err(said("the steps are not numbered one after the other"));
            }
            let (command, evidence) = (String::new(), String::new());
            symptom.steps.push(Step { number, command, evidence });
        } else if is_block {
            let indent = line.len() - text.len();
            let mut block = Vec::new();
            for (_, line) in lines.by_ref().take_while(|(_, line)| line.trim_start() != "```") {
                block.push(line.get(indent..).unwrap_or_default());
            }
            let step = symptom.steps.last_mut().ok_or_else(|| said("a block without a step"))?;
            let part = if text == "```sh" { &mut step.command } else { &mut step.evidence };
            if !part.is_empty() {
                return Err(said("a second block of its kind in one step"));
            }
            *part = block.join("\n");
        } else {
            let commands = || line.split('`').skip(1).step_by(2).map(str::to_owned);
            if text.starts_with("To rehearse it:") {
                // Above the steps somebody half asleep would type it first.
                if symptom.steps.is_empty() {
                    return Err(said("what breaks the system stands above the steps"));
                }
                symptom.make.extend(commands());
            } else if text.starts_with("To undo it:") {
                symptom.undo.extend(commands());
            }
        }
    }
    for symptom in &symptoms {
        for step in &symptom.steps {
            if step.command.is_empty() || step.evidence.is_empty() {
                return Err(format!(
                    "{}, step {}: lacks an sh or a text block",
                    symptom.title, step.number
                ));
            }
        }
    }
    Ok(symptoms)
}

/// Do all parts of the evidence, cut at `…` and at ends of lines, occur in the output one after the other?
pub fn shows(output: &str, evidence: &str) -> bool {
    let parts = evidence.split(['…', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let mut rest = output;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}
