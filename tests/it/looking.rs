//! Can it be seen? In the window: metrics of the present frame, the ε window on the plot, blinking, exchanging, the blind
//! comparison, the tour and the challenge.

use super::stage::*;
use eframe::egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use epsiloscope::attack::Attack;
use epsiloscope::engine::SeenMap;
use epsiloscope::gpu::wgpu_setup;
use epsiloscope::study::{Seen, SeenMetric};
use epsiloscope::workbench::curves::{Curves, Quantity};
use epsiloscope::workbench::seen::closely::{MOST_HZ, blink_hz};
use epsiloscope::workbench::seen::{SeenCommand, SeenSettings, window_of};
use epsiloscope::workbench::several::Several;
use epsiloscope::workbench::state::{Comparison, Look, Picture, View};
use epsiloscope::workbench::tour::{STEPS, score};
use epsiloscope::workbench::{App, Command, Mode, Options, PanelKind, Setup, State};
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(300);

/// The whole window with the sample, once its pictures are there.
pub fn app(folder: Option<&Path>) -> Harness<'static, App> {
    let setup = Setup { config_folder: folder.map(Path::to_owned), native_dialogs: false, still: true };
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .with_step_dt(1.0 / 60.0)
        .wgpu_setup(wgpu_setup())
        .build_eframe(move |creation| App::new(creation, Options::default(), setup).unwrap());
    wait(&mut harness, "the sample", |app| app.state.is_current() && !app.state.computing);
    harness
}

/// Steps until `there`; fails after a limit.
pub fn wait(harness: &mut Harness<'static, App>, what: &str, there: impl Fn(&App) -> bool) {
    let start = Instant::now();
    harness.step();
    while !there(harness.state()) {
        if start.elapsed() > LIMIT {
            let problem = &harness.state().state.problem;
            panic!("{what}: not within {LIMIT:?}; problem {problem:?}; the window says {:?}", words(harness));
        }
        std::thread::sleep(Duration::from_millis(2));
        harness.step();
    }
}

/// All that the window says.
fn words(harness: &Harness<'_, App>) -> Vec<String> {
    let text = |n: egui_kittest::Node<'_>| n.accesskit_node().label().or_else(|| n.accesskit_node().value());
    harness.get_all_by(|_| true).filter_map(text).collect()
}

fn shown(harness: &Harness<'_, App>, text: &str) -> usize {
    harness.query_all_by_label_contains(text).count()
}

fn images(harness: &Harness<'_, App>, start: &str) -> usize {
    let label = |n: egui_kittest::Node<'_>| n.accesskit_node().label().is_some_and(|l| l.starts_with(start));
    harness.get_all_by_role(Role::Image).filter(|n| label(*n)).count()
}

/// A curve whose metric says when it is seen: SSIM falls below 0.98 from 8/255 on.
pub fn seen_state() -> State {
    let mut state = state(FGSM, FOUR);
    (state.seen.settings.metric, state.seen.settings.value) = (SeenMetric::Ssim, 0.98);
    let ssim = |level: f64| 1.0 - 0.0024 * level;
    if let Some(curve) = &mut state.curve {
        for point in curve.points.iter_mut().chain(&mut curve.control) {
            let value = ssim(point.epsilon * 255.0);
            point.measure.seen =
                Seen::default().with(SeenMetric::Ssim, value).with(SeenMetric::Flip, 0.4 * (1.0 - value));
        }
    }
    state
}

pub fn seen_curves() -> Harness<'static, Stage> {
    let mut state = seen_state();
    state.view.quantities.push(Quantity::Seen(SeenMetric::Ssim));
    state.view.quantities.push(Quantity::Seen(SeenMetric::Flip));
    stage([1200.0, 420.0], state, Panel::Pane(Box::new(Curves::default())))
}

#[test]
fn the_plot_reads_off_the_window_and_a_click_takes_the_suggestion() {
    let mut harness = seen_curves();
    let window = window_of(&harness.state().state).unwrap();
    // Dice falls below three quarters of 0.95 at 4/255; SSIM is at least 0.98 up to 8/255.
    let [first, last] = window.ends().unwrap();
    assert!((first * 255.0 - 4.0).abs() < 1e-9 && (last * 255.0 - 8.0).abs() < 1e-9, "{window:?}");
    assert!(shows(&harness, "4.00–8.00 /255"), "both ends in the chosen unit");
    let suggested = window.suggest().epsilon.unwrap();
    harness.get_by_role_and_label(Role::Button, "Suggest ε").click();
    settle(&mut harness);
    assert!(shows(&harness, "random signs do not break it"), "the suggestion explains itself");
    harness.get_by_label_contains("Use ε =").click();
    settle(&mut harness);
    assert_eq!(harness.state().state.epsilon, suggested);

    harness.state_mut().state.seen.settings.value = 0.999;
    settle(&mut harness);
    assert!(shows(&harness, "empty"), "an empty window says so");
    harness.state_mut().state.seen.settings.value = 0.98;
    harness.state_mut().state.unit = Some(epsiloscope::workbench::epsilon::EpsilonUnit::Fraction);
    settle(&mut harness);
    assert!(shows(&harness, "0.0157–0.0314"));
}

#[test]
fn pictures_blink_at_most_three_times_a_second_unless_it_is_allowed() {
    let mut state = state(FGSM, FOUR);
    state.view = View { comparison: Comparison::Blink, blink_secs: 0.05, ..state.view };
    assert_eq!(blink_hz(&state), MOST_HZ);
    let mut harness = compare([1100.0, 760.0], state);
    let originals = |harness: &Harness<'_, Stage>| {
        let labels = pictures(harness).into_iter().filter_map(|n| n.accesskit_node().label());
        labels.filter(|l| l.starts_with("Original")).count()
    };
    // Four seconds at 60 frames a second: the original comes back at most 12 times.
    let mut times = 0;
    let mut before = originals(&harness);
    for _ in 0..240 {
        harness.step();
        let now = originals(&harness);
        times += usize::from(now > before);
        before = now;
    }
    assert!((11..=12).contains(&times), "{times} times in four seconds");
    harness.state_mut().state.seen.settings = SeenSettings { fast_blink: true, ..SeenSettings::default() };
    assert_eq!(blink_hz(&harness.state().state), 10.0);
}

#[test]
fn a_key_exchanges_original_and_adversarial_in_place() {
    let mut harness = app(None);
    assert_eq!(images(&harness, "Original"), 1);
    harness.key_press(Key::A);
    harness.run_steps(3);
    assert_eq!(images(&harness, "Original"), 2, "the adversarial picture's place shows the original");
    harness.key_press(Key::A);
    harness.run_steps(3);
    assert_eq!(images(&harness, "Original"), 1);
}

#[test]
fn metrics_of_the_present_frame_follow_epsilon_and_window() {
    let mut harness = app(None);
    let psnr = |app: &App| {
        let frame = app.state.frame.as_ref()?;
        let found = app.state.seen.of(frame)?;
        let window = [found.wish.plan.presentation.window.lower, found.wish.plan.presentation.window.upper];
        (window == app.state.view.window).then(|| [found.shown, found.stored].map(|s| s.get(SeenMetric::Psnr)))
    };
    wait(&mut harness, "metrics", |app| psnr(app).is_some());
    let [displayed, stored] = psnr(harness.state()).unwrap().map(Option::unwrap);
    // ±4/255 at almost every pixel: 20·log10(255/4) = 36.1 dB.
    assert!((displayed - 36.1).abs() < 0.3 && (stored - 36.1).abs() < 0.3, "{displayed} {stored}");
    let view = View { window: [0.35, 0.65], ..harness.state().state.view.clone() };
    harness.state().send(Command::View(Box::new(view)));
    wait(&mut harness, "metrics under a narrow window", |app| psnr(app).is_some());
    let [narrow, same] = psnr(harness.state()).unwrap().map(Option::unwrap);
    assert!(narrow < displayed - 3.0, "a narrow window shows more of it: {narrow} dB");
    assert!((same - stored).abs() < 1e-9, "what is stored is the same");
    harness.run_steps(2);
    assert!(shown(&harness, &format!("{narrow:.2}")) >= 1, "the table shows it");

    // The curve is measured again under the new window, metrics that the plot shows among it.
    let view = View {
        quantities: vec![Quantity::Dice, Quantity::Seen(SeenMetric::Gmsd)],
        ..harness.state().state.view.clone()
    };
    harness.state().send(Command::View(Box::new(view)));
    wait(&mut harness, "the curve's metrics", |app| {
        app.state.curve.as_ref().is_some_and(|c| {
            let four = c.points.iter().find(|p| (p.epsilon - FOUR).abs() < 1e-9);
            four.is_some_and(|p| p.measure.seen.get(SeenMetric::Gmsd).is_some())
        })
    });
    let curve = harness.state().state.curve.clone().unwrap();
    let four = curve.points.iter().find(|p| (p.epsilon - FOUR).abs() < 1e-9).unwrap();
    assert!((four.measure.seen.get(SeenMetric::Psnr).unwrap() - narrow).abs() < 0.05, "plot and table agree");

    // A map in place of the noise.
    let settings = SeenSettings { map: Some(SeenMap::Ssim), ..harness.state().state.seen.settings.clone() };
    harness.state().send(Command::Seen(SeenCommand::Set(Box::new(settings))));
    wait(&mut harness, "the map", |app| {
        app.state.frame.as_ref().and_then(|f| app.state.seen.of(f)).is_some_and(|f| f.map.is_some())
    });
    harness.run_steps(3);
    assert_eq!(images(&harness, "Seen: 1 − SSIM"), 1);
}

#[test]
fn the_blind_comparison_hides_which_is_which_until_it_is_answered() {
    let mut harness = app(None);
    harness.get_by_label("Study").click();
    harness.run_steps(3);
    harness.get_by_label("Blind comparison").click();
    harness.run_steps(3);
    assert_eq!((images(&harness, "Picture A"), images(&harness, "Picture B")), (1, 1));
    assert_eq!((images(&harness, "Adversarial"), images(&harness, "Original")), (0, 0), "no name tells");
    harness.get_by_role_and_label(Role::Button, "A").click();
    harness.run_steps(3);
    let blind = harness.state().state.seen.blind.unwrap();
    let first = blind.adversarial_first().expect("the answer reveals");
    let (a, b) = if first { ("A: Adversarial", "B: Original") } else { ("A: Original", "B: Adversarial") };
    assert_eq!((images(&harness, a), images(&harness, b)), (1, 1));
    assert_eq!(blind.score, [1, usize::from(first)]);
    harness.get_by_role_and_label(Role::Button, "Deal again").click();
    harness.run_steps(3);
    assert_eq!(images(&harness, "Picture A"), 1);
    harness.key_press(Key::Escape);
    harness.run_steps(3);
    assert!(harness.state().state.seen.blind.is_none() && images(&harness, "Adversarial") == 1);
}

#[test]
fn the_tour_steps_with_the_arrows_and_puts_everything_back() {
    let mut harness = app(None);
    let view = View { pictures: vec![Picture::Noise], window: [0.1, 0.9], ..View::default() };
    harness.state().send(Command::View(Box::new(view.clone())));
    harness.state().send(Command::Epsilon(0.03));
    let several = Several { on: true, ..harness.state().state.several.clone() };
    harness.state().send(Command::Several(Box::new(several)));
    wait(&mut harness, "ε", |app| app.state.is_current() && app.state.several.on);
    // Something else lies over the pictures.
    harness.state().send(Command::Panel(PanelKind::Train, true));
    harness.run_steps(3);
    assert_eq!(shown(&harness, "Noise ×"), 0);
    harness.state().send(Command::Enter(Mode::Tour));
    for (at, step) in STEPS.iter().enumerate() {
        wait(&mut harness, step.title, |app| app.tour().is_some_and(|t| t.at() == at) && app.state.is_current());
        harness.run_steps(4);
        assert_eq!(shown(&harness, step.title), 1, "{}", step.title);
        let pictures = ["Original", "Adversarial", "Segment"].map(|start| images(&harness, start));
        assert!(pictures.iter().sum::<usize>() > 0, "{}: its pictures are there", step.title);
        let level = harness.state().state.epsilon * 255.0;
        let asked = if at == 3 { 8.0 } else { 4.0 };
        assert!(level == 0.0 || (level - asked).abs() < 1e-9, "{}: ε is {level}", step.title);
        assert!(!harness.state().state.several.on, "the plots are of the one attack");
        if at == 2 {
            harness.key_press(Key::ArrowLeft);
            wait(&mut harness, "a step back", |app| app.tour().is_some_and(|t| t.at() == 1));
            harness.key_press(Key::ArrowRight);
            wait(&mut harness, "and forward", |app| app.tour().is_some_and(|t| t.at() == 2));
        }
        if at == 1 {
            // Esc leaves presenter mode, not the tour.
            harness.state().send(Command::Look(Look { presenter: true, ..harness.state().state.look }));
            wait(&mut harness, "presenter mode", |app| app.state.look.presenter);
            harness.key_press(Key::Escape);
            wait(&mut harness, "no presenter mode", |app| !app.state.look.presenter);
            assert!(harness.state().tour().is_some_and(|t| t.at() == 1));
        }
        if at + 1 == STEPS.len() {
            harness.state().send(Command::Look(Look { presenter: true, ..harness.state().state.look }));
            wait(&mut harness, "presenter mode", |app| app.state.look.presenter);
            harness.run_steps(3);
            assert!(shown(&harness, "Suggest ε") > 0, "it speaks of the plot, which is there");
        }
        if at == 3 {
            wait(&mut harness, "the control", |app| app.state.curve.as_ref().is_some_and(|c| c.control.len() > 10));
            harness.run_steps(2);
            assert_eq!(shown(&harness, "Random signs of the same ε leave"), 1, "with the numbers of this model");
            let state = &harness.state().state;
            let broken = window_of(state).unwrap().broken;
            assert!(broken.iter().any(|i| (i.first..=i.last).contains(&state.epsilon)), "it is broken: {broken:?}");
        }
        harness.key_press(Key::ArrowRight);
    }
    wait(&mut harness, "the end", |app| app.tour().is_none() && app.state.is_current());
    let state = &harness.state().state;
    assert_eq!((state.epsilon, &state.view), (0.03, &view), "everything is as before");
    assert!(state.several.on && !state.look.presenter);
}

#[test]
fn an_attack_that_finds_its_own_epsilon_is_neither_guessed_nor_studied() {
    let mut harness = app(None);
    harness.state().send(Command::Attack(Attack::named("deepfool").unwrap()));
    wait(&mut harness, "DeepFool", |app| app.state.is_current() && !app.state.computing);
    harness.state().send(Command::Enter(Mode::Challenge));
    wait(&mut harness, "the hidden pictures", |app| app.challenge().is_some_and(|c| c.is_ready(&app.state)));
    assert_eq!(harness.state().state.frame.as_ref().unwrap().method, Attack::FGSM, "an ε that was placed is guessed");
    harness.state().send(Command::Leave);
    wait(&mut harness, "the workbench", |app| app.challenge().is_none() && app.state.is_current());
    assert_eq!(harness.state().state.method.name(), "deepfool");
    harness.state().send(Command::Enter(Mode::Reader));
    wait(&mut harness, "the form", |app| app.reader().is_some());
    harness.run_steps(3);
    assert_eq!(shown(&harness, "ε of DeepFool is found by the attack; a study places ε"), 1);
    let prepare = harness.get_by_role_and_label(Role::Button, "Prepare");
    assert!(prepare.accesskit_node().is_disabled(), "there is nothing to prepare");
}

#[test]
fn the_challenge_hides_epsilon_and_scores_a_guess() {
    let mut harness = app(None);
    let before = harness.state().state.epsilon;
    harness.state().send(Command::Enter(Mode::Challenge));
    wait(&mut harness, "the hidden pictures", |app| app.challenge().is_some_and(|c| c.is_ready(&app.state)));
    harness.run_steps(3);
    assert_eq!(images(&harness, "Changed by an unknown ε"), 1);
    assert_eq!(shown(&harness, "ε was"), 0);
    harness.get_by_role_and_label(Role::Slider, "Guess of ε").set_value_accesskit(3.0);
    harness.run_steps(3);
    assert!(shown(&harness, "8.00 /255") >= 1, "the guess is shown");
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    let challenge = harness.state().challenge().unwrap();
    let hidden = challenge.revealed().expect("the guess reveals");
    assert_eq!(challenge.scores(), [score(8.0 / 255.0, hidden)]);
    assert_eq!(shown(&harness, "ε was"), 1);
    harness.key_press(Key::Escape);
    wait(&mut harness, "the workbench", |app| app.challenge().is_none() && app.state.is_current());
    assert_eq!(harness.state().state.epsilon, before);
}
