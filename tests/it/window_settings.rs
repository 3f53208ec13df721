//! What the window remembers from one session to the next.

use super::app::*;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::Attack;
use epsiloscope::workbench::state::Theme;
use epsiloscope::workbench::{Command, Options, PanelKind};

#[test]
fn window_remembers_the_attack_that_random_signs_stand_in_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = Some(super::onnx_gradients::thresholded(folder.path()));
    let mut harness = open(Options { model, ..Options::default() }, None);
    wait(&mut harness, "random signs", |app| !app.state.method.entry().gradient);
    assert_eq!(harness.state().settings().attack, Some(Attack::FGSM));
    // An L2 radius ends where ε of random signs does.
    let l2 = Attack::parse("pgd", &["norm=l2"]).unwrap();
    harness.state().send(Command::Attack(l2));
    harness.state().send(Command::Epsilon(20.0));
    wait(&mut harness, "random signs again", |app| !app.state.method.entry().gradient && app.state.epsilon <= 1.0);
    assert_eq!(harness.state().settings().attack, Some(l2));
    // Random signs that a person chose are remembered as that.
    harness.state().send(Command::Attack(Attack::random_sign(0).unwrap()));
    wait(&mut harness, "the choice", |app| app.settings().attack == Some(app.state.method));
}

#[test]
fn window_settings_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let image = sample_file("membranes.png");
    {
        let mut harness = open(Options::default(), Some(folder.path()));
        wait_current(&mut harness);
        let app = harness.state();
        let mut look = app.state.look;
        (look.theme, look.ui_scale) = (Theme::Light, 1.25);
        let mut view = app.state.view.clone();
        view.opacity = 0.25;
        app.send(Command::Look(look));
        app.send(Command::View(Box::new(view)));
        app.send(Command::Panel(PanelKind::Library, false));
        app.send(Command::OpenFiles(vec![image.clone()]));
        wait(&mut harness, "the image", |app| !app.state.recent.is_empty());
        eframe::App::on_exit(harness.state_mut());
    }
    let mut harness = open(Options::default(), Some(folder.path()));
    harness.step();
    let app = harness.state();
    assert_eq!((app.state.look.theme, app.state.look.ui_scale), (Theme::Light, 1.25));
    assert_eq!(app.state.view.opacity, 0.25);
    assert_eq!(app.state.recent[0].image, image);
    assert!(harness.query_by_label("Library").is_none(), "the panel stays hidden");
    assert!(harness.query_by_label("Inspector").is_some());
}

#[test]
fn window_survives_a_corrupt_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.json"), "not json at all").unwrap();
    let mut harness = open(Options::default(), Some(folder.path()));
    harness.step();
    harness.step();
    let problem = harness.state().state.problem.clone().unwrap();
    assert!(problem.why.contains("settings.json"), "{problem:?}");
    wait_current(&mut harness);
    assert!(folder.path().join("settings.unreadable.json").exists());
}
