//! The parameters of attacks in the window: drawn from the catalogue, edited, refused, reset, undone and remembered.

use super::stage::*;
use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::{Attack, CATALOG, Kind};
use epsiloscope::engine::{AttackRun, ComparedWhat, ComparisonNews, ComparisonStart, Request, RunEnd};
use epsiloscope::gpu::wgpu_setup;
use epsiloscope::workbench::curves::Curves;
use epsiloscope::workbench::parameters::ParameterPanel;
use epsiloscope::workbench::progress::STOP_LABEL;
use epsiloscope::workbench::state::{Compared, LiveRun};
use epsiloscope::workbench::{App, Command, Options, Setup, State};
use std::path::Path;
use std::sync::Arc;

fn panel(attack: Attack) -> Harness<'static, Stage> {
    stage([300.0, 420.0], state(attack, FOUR), Panel::Parameters(ParameterPanel::default()))
}

fn type_into<S>(harness: &mut Harness<'_, S>, label: &str, text: &str) {
    harness.get_by_role_and_label(Role::TextInput, label).focus();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    harness.get_by_role_and_label(Role::TextInput, label).type_text(text);
    harness.step();
    harness.key_press(Key::Enter);
    harness.run_steps(6);
}

#[test]
fn every_attack_has_its_panel_from_the_catalogue_alone() {
    for entry in CATALOG {
        let harness = panel(Attack::new(entry));
        for parameter in entry.parameters {
            let role = match parameter.kind {
                Kind::Number | Kind::Count => Role::TextInput,
                Kind::Switch => Role::CheckBox,
                Kind::Choice(_) => Role::ComboBox,
            };
            let label = parameter.label();
            assert!(harness.query_by_role_and_label(role, &label).is_some(), "{}: {label}", entry.name);
            assert!(harness.query_by_label(&format!("Reset {label}")).is_some(), "{}: {label}", entry.name);
        }
        assert!(shows(&harness, "Norm"), "{}", entry.name);
        assert_eq!(shows(&harness, "Presets"), !entry.presets.is_empty(), "{}", entry.name);
    }
}

#[test]
fn values_are_typed_refused_out_of_range_and_reset() {
    let bim = Attack::named("bim").unwrap();
    let mut harness = panel(bim);
    let steps = |harness: &Harness<'_, Stage>| harness.state().state.method.get("steps");
    type_into(&mut harness, "Steps", "25");
    assert_eq!(steps(&harness), Some(25.0));
    for wrong in ["0", "2.5", "many", "1e9"] {
        type_into(&mut harness, "Steps", wrong);
        assert_eq!(steps(&harness), Some(25.0), "{wrong} was taken");
        assert!(shows(&harness, "is not a whole number from 1 to 100000. It stays at 25"), "{wrong}");
    }
    type_into(&mut harness, "Steps", "25");
    assert!(!shows(&harness, "It stays at"), "the message is gone");
    type_into(&mut harness, "Step", "1/20");
    assert_eq!(harness.state().state.method.get("step"), Some(0.05));
    harness.get_by_label("Reset Steps").click();
    settle(&mut harness);
    assert_eq!(steps(&harness), Some(10.0));
    assert_eq!(harness.state().state.method.get("step"), Some(0.05), "one reset leaves the others");
    harness.get_by_label("Reset all").click();
    settle(&mut harness);
    assert_eq!(harness.state().state.method, bim);
}

#[test]
fn a_preset_sets_parameters_and_epsilon() {
    let mut harness = panel(Attack::named("pgd").unwrap());
    harness.get_by_label("Presets").click();
    settle(&mut harness);
    harness.get_by_label("Madry et al. 2018, CIFAR-10").click();
    settle(&mut harness);
    let state = &harness.state().state;
    assert_eq!((state.method.get("steps"), state.method.get("step")), (Some(10.0), Some(0.25)));
    assert_eq!(state.epsilon, 8.0 / 255.0);
}

#[test]
fn an_attack_under_way_shows_its_steps_and_can_be_stopped() {
    let pgd = Attack::named("pgd").unwrap();
    let mut state = state(pgd, FOUR);
    let judged = (0..12).map(|i| epsiloscope::attack::Judgement { loss: i as f32, hits: 0.25 }).collect();
    let news = AttackRun {
        number: 1,
        method: pgd,
        epsilon: FOUR,
        done: 12,
        of: 40,
        secs: 6.0,
        telling_secs: 0.0,
        judged,
        end: None,
    };
    LiveRun::hear(&mut state.run, news.clone());
    let mut harness = stage([300.0, 520.0], state, Panel::Parameters(ParameterPanel::default()));
    assert!(shows(&harness, "Step 12 of 40, 14 s left"));
    assert!(shows(&harness, "Loss at each step, from 0.000 to 11.000"));
    assert!(shows(&harness, "cross-entropy against the label, raised"));
    harness.get_by_label(STOP_LABEL).click();
    settle(&mut harness);
    let stops = harness.state().log.iter().filter(|c| matches!(c, Command::Engine(Request::StopAttack))).count();
    assert_eq!(stops, 1);
    let run = &mut harness.state_mut().state.run;
    LiveRun::hear(run, AttackRun { judged: Vec::new(), end: Some(RunEnd::Stopped), ..news });
    settle(&mut harness);
    assert!(shows(&harness, "Stopped at step 12 of 40") && shows(&harness, "Run again"));
}

/// Three attacks, the last of which finds its own ε; what the second has is not all there yet.
fn compared(state: &State) -> Compared {
    let attacks = [Attack::FGSM, Attack::named("bim").unwrap(), Attack::named("deepfool").unwrap()];
    let start = ComparisonStart {
        number: 1,
        case: state.case.clone().unwrap(),
        model: "a model".to_owned(),
        device: "CPU".to_owned(),
        attacks: attacks.to_vec(),
        epsilons: vec![1.0 / 255.0, 4.0 / 255.0],
        clean: measure(0.95, 0.03, 0.0),
    };
    let mut compared = Compared::new(Arc::new(start));
    let news = |attack, point, control| ComparisonNews { number: 1, attack, what: ComparedWhat::Point(point, control) };
    compared.hear(news(0, point(1.0, 0.05), Some(point(1.0, 0.01))));
    compared.hear(news(0, point(4.0, 0.35), Some(point(4.0, 0.02))));
    compared.hear(news(1, point(4.0, 0.45), None));
    compared.hear(news(2, point(0.0, 0.0), None));
    compared.hear(news(2, point(2.0, 0.5), None));
    // Of another comparison.
    compared.hear(ComparisonNews { number: 2, ..news(1, point(1.0, 0.9), None) });
    compared
}

#[test]
fn several_attacks_are_chosen_measured_and_read_as_plot_and_table() {
    let mut state = state(FGSM, FOUR);
    state.several.on = true;
    state.compared = Some(compared(&state));
    let mut harness = stage([900.0, 420.0], state, Panel::Pane(Box::new(Curves::default())));
    for name in ["FGSM", "BIM", "DeepFool (found L∞ 2.00 /255)", "Random sign (control)"] {
        assert!(shows(&harness, name), "{name} in the legend");
    }
    assert!(shows(&harness, "Dice of several attacks over ε"));
    assert!(shows(&harness, "Measured on disc with a model"), "the model on the screen is another");
    harness.get_by_label("Attacks (3)").click();
    settle(&mut harness);
    harness.get_by_role_and_label(Role::CheckBox, "PGD").click();
    settle(&mut harness);
    assert_eq!(harness.state().state.several.attacks, ["fgsm", "bim", "pgd", "mi-fgsm"]);
    harness.key_press(Key::Escape);
    settle(&mut harness);
    harness.get_by_label("Measure").click();
    settle(&mut harness);
    assert!(harness.state().log.iter().any(|c| matches!(c, Command::MeasureSeveral)));
    harness.get_by_label("Table").click();
    settle(&mut harness);
    for text in ["Dice at ε", "0.600", "0.500", "0.450 at L∞ 2.00 /255", "0.930"] {
        assert!(shows(&harness, text), "{text} in the table");
    }
    harness.get_by_label("One").click();
    settle(&mut harness);
    assert!(!harness.state().state.several.on && shows(&harness, "Clean"));
}

fn open(folder: &Path) -> Harness<'static, App> {
    let setup = Setup { config_folder: Some(folder.to_owned()), native_dialogs: false, still: true };
    let mut harness = Harness::builder()
        .with_size([1280.0, 900.0])
        .wgpu_setup(wgpu_setup())
        .build_eframe(move |creation| App::new(creation, Options::default(), setup).unwrap());
    harness.run_steps(8);
    harness
}

#[test]
fn parameters_are_undone_and_remembered_for_each_attack() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(folder.path());
    let bim = Attack::named("bim").unwrap();
    harness.state().send(Command::Attack(bim));
    harness.run_steps(6);
    type_into(&mut harness, "Steps", "3");
    let steps = |harness: &Harness<'static, App>| harness.state().state.method.get("steps");
    assert_eq!(steps(&harness), Some(3.0));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(3);
    assert_eq!(steps(&harness), Some(10.0), "undone");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    harness.run_steps(3);
    assert_eq!(steps(&harness), Some(3.0), "done again");
    // Another attack, and back by its name in the list.
    harness.state().send(Command::Attack(Attack::FGSM));
    harness.run_steps(6);
    assert_eq!(harness.state().state.tuned.named("bim").and_then(|a| a.get("steps")), Some(3.0));
    harness.run_steps(10);
    eframe::App::on_exit(harness.state_mut());
    drop(harness);
    let harness = open(folder.path());
    assert_eq!(harness.state().state.method, Attack::FGSM);
    assert_eq!(harness.state().state.tuned.named("bim").and_then(|a| a.get("steps")), Some(3.0), "after a restart");
}
