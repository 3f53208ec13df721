//! What is to be read before the numbers of a campaign.

use super::along::method;
use super::judge::CLEAN_PREDICTION;
use super::{Cell, OneStep, Row};
use crate::study::masking::{does_more, one_step_note, random_note, zeros_note};
use crate::study::report::epsilon;
use std::collections::BTreeSet;

/// Whether images had no label: the model's own prediction was their reference then.
pub(super) fn references(white: &[&Row]) -> Vec<String> {
    let images = |own: bool| {
        let of = |row: &&&Row| (row.get("reference") == CLEAN_PREDICTION) == own;
        let all = white
            .iter()
            .filter(of)
            .map(|row| [row.get("data"), row.get("image"), row.get("image_id")].map(str::to_owned));
        all.collect::<BTreeSet<_>>().len()
    };
    let (own, labelled) = (images(true), images(false));
    let what = |count: usize| {
        let [have, on_them, they_pass] =
            if count == 1 { ["has", "on it", "it always passes"] } else { ["have", "on them", "they always pass"] };
        format!(
            "{have} no label, and the model’s own clean prediction is the reference: what is measured {on_them} is how far the \
             prediction moves, and {they_pass} clean"
        )
    };
    match (own, labelled) {
        (0, _) => Vec::new(),
        (1, 0) => vec![format!("The image {}.", what(1))],
        (_, 0) => vec![format!("The images {}.", what(own))],
        _ => vec![format!(
            "{own} of {} images {}. Shares and means over images of both kinds mix two questions.",
            own + labelled,
            what(own)
        )],
    }
}

/// What the numbers beside ε are.
fn compared(targeted: bool, stopped_early: bool) -> &'static str {
    if stopped_early {
        " In brackets: the share that fails, first under it, then under the attack. Attacks stopped at success, so that their mean scores \
         are no match for what does not stop."
    } else if targeted {
        " In brackets: the mean share that is as wished, first under it, then under the attack. It tells more than the shares that fail, \
         which can be the same."
    } else {
        " In brackets: the mean score (Dice, or P(true class)), first under it, then under the attack; less is more harm. It tells more \
         than the shares that fail, which can be the same."
    }
}

/// Signs of gradient masking, of attacks on their own model.
pub(super) fn masking(cells: &[Cell]) -> Vec<String> {
    let (mut notes, mut stepless) = (Vec::new(), Vec::new());
    let white: Vec<&Cell> = cells.iter().filter(|c| c.made_on == c.judged_on).collect();
    let mut said = BTreeSet::new();
    for cell in &white {
        let Some(attack) = method(cell).filter(|m| m.entry().gradient && !m.entry().lowers_the_loss) else { continue };
        let aimed = if cell.wished.is_some() { format!(", target {}", cell.target) } else { String::new() };
        let within = if cell.region.is_empty() { String::new() } else { format!(", within {}", cell.region) };
        let who = format!("{} on {}, {} {}{aimed}{within}", attack.title(), cell.made_on, cell.data, cell.parameters);
        if !said.insert(who.clone()) {
            continue;
        }
        let targeted = cell.wished.is_some();
        let same: Vec<&&Cell> = white
            .iter()
            .filter(|c| c.is_beside(cell) && (&c.attack, &c.parameters) == (&cell.attack, &cell.parameters))
            .collect();
        let mut say = |note: String| notes.push(format!("{who}: {note}"));
        if let Some(note) = cell.zero_share.and_then(zeros_note) {
            say(note);
        }
        if cell.blind > 0 {
            let (blind, results) = (cell.blind, cell.results);
            say(format!(
                "The gradient is zero everywhere for {blind} of {results} images times seeds, which no step can change."
            ));
        }
        // With the means that are compared, first of what does more.
        let more = |other: &dyn Fn(&Cell) -> Option<f64>| {
            let shown = |gain: f64| if targeted || cell.stopped_early { gain } else { 1.0 - gain };
            let list = same.iter().filter_map(|c| {
                let gain = other(c).filter(|gain| does_more(*gain, c.gain()))?;
                let epsilon = c.epsilon.map_or("as found".to_owned(), epsilon::short);
                Some(format!("{epsilon} ({:.3} against {:.3})", shown(gain), shown(c.gain())))
            });
            list.collect::<Vec<_>>().join(", ")
        };
        let random = more(&|c| Some(c.control_gain()));
        if !random.is_empty() {
            say(random_note(attack, &random, targeted) + compared(targeted, cell.stopped_early));
        }
        // Its one step is that of its own norm and clip.
        let Some(one) = attack.beside_it() else {
            if attack.repeats_no_step() && !stepless.contains(&attack.title()) {
                stepless.push(attack.title());
            }
            continue;
        };
        let beaten = more(&Cell::one_step_gain);
        if !beaten.is_empty() {
            say(one_step_note(one.title(), &beaten, targeted) + compared(targeted, cell.stopped_early));
        }
        let unknown = same.iter().filter(|c| c.one_step == OneStep::Unknown);
        let unknown: Vec<String> = unknown.map(|c| c.epsilon.map_or("as found".to_owned(), epsilon::short)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            say(format!(
                "Whether one step ({}) does more is not known at ε = {unknown}: rows of an older version do not tell. A new folder \
                 measures it.",
                one.title()
            ));
        }
    }
    if !stepless.is_empty() {
        let (repeat, them) = if stepless.len() == 1 { ("repeats", "it") } else { ("repeat", "them") };
        notes.push(format!(
            "{} {repeat} no single step, so that none stands beside {them}: of gradient masking only zeros in the gradient and the \
             random control could tell.",
            stepless.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::row::{KEY, RowKey, columns};
    use super::super::{Row, Summary};

    /// A result of BIM; each of attack, control and one step fails as its flag says, with its score.
    fn row(stop_early: &str, image: &str, failing: [bool; 3], scores: [f64; 3]) -> Row {
        let flags = failing.map(|fails| u8::from(fails).to_string());
        let scores = scores.map(|score| score.to_string());
        let cells = [
            ("image", image),
            ("attack", "bim"),
            ("epsilon", "0.1"),
            ("grid", "0.1"),
            ("reference", "label"),
            ("stop_early", stop_early),
            ("clean_passes", "1"),
            ("fails", &flags[0]),
            ("score", &scores[0]),
            ("control_fails", &flags[1]),
            ("control_score", &scores[1]),
            ("one_step", "fgsm"),
            ("one_step_fails", &flags[2]),
            ("one_step_score", &scores[2]),
        ];
        let cell = |column: &&str| cells.iter().find(|(name, _)| name == column).map_or("", |c| c.1).to_owned();
        let all: Vec<String> = columns().iter().map(cell).collect();
        Row { key: RowKey(all[..KEY.len()].to_vec()), found: all[KEY.len()..].to_vec() }
    }

    fn notes(stop_early: &str, failing: [[bool; 3]; 2]) -> Vec<String> {
        // What stops at success is left just below it; what goes on is farther.
        let rows =
            [("a", failing[0]), ("b", failing[1])].map(|(i, failing)| row(stop_early, i, failing, [0.4, 0.3, 0.1]));
        Summary::new(&rows.iter().collect::<Vec<_>>()).notes
    }

    #[test]
    fn attacks_that_stop_at_success_are_compared_by_what_fails() {
        let all = [[true; 3]; 2];
        let told = notes("0", all);
        assert!(told.len() == 2 && told.iter().all(|note| note.contains("the mean score")), "{told:?}");
        assert_eq!(notes("1", all), Vec::<String>::new(), "they could do no more");
        let told = notes("1", [[true; 3], [false, false, true]]);
        assert!(told.len() == 1 && told[0].contains("One step (FGSM) does more harm"), "{told:?}");
        assert!(told[0].contains("(1.000 against 0.500)") && told[0].contains("the share that fails"), "{told:?}");
        let told = notes("1", [[true; 3], [false, true, false]]);
        assert!(told.len() == 1 && told[0].contains("Random sign") && told[0].contains("against 0.500"), "{told:?}");
    }
}
