//! The row above the pictures: zoom, blink and swipe, how masks are drawn, which pictures are shown.

use super::viewport::percent;
use super::{canvas, menus};
use crate::workbench::icons::{Icon, icon_button};
use crate::workbench::seen::closely;
use crate::workbench::state::{Comparison, MaskStyle, Picture, View};
use crate::workbench::view::MOST_GAIN;
use crate::workbench::{Command, CommandSender, State, theme, window_level};
use eframe::egui::containers::menu::MenuButton;
use eframe::egui::{self, Button, DragValue, RichText, Ui, vec2};

/// Draws the row. `scale` is the magnification of the pictures now, in screen pixels per image pixel.
pub fn toolbar_ui(ui: &mut Ui, state: &State, commands: &CommandSender, scale: Option<f32>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        if icon_button(ui, Icon::Fit, "Fit", "Show the whole image. F", true).clicked() {
            canvas::zoom_to(state, commands, None);
        }
        let one = state.navigation.zoom == Some(1.0);
        let tip = "One image pixel on one pixel of the screen. 1";
        if ui.add(Button::selectable(one, "1:1")).on_hover_text(tip).clicked() {
            canvas::zoom_to(state, commands, Some(1.0));
        }
        let zoom = scale.map_or_else(|| "–".to_owned(), percent);
        let label = egui::Label::new(theme::weak(ui, zoom)).selectable(false);
        ui.add_sized(vec2(44.0, ui.spacing().interact_size.y), label)
            .on_hover_text("Magnification: screen pixels per image pixel. The wheel zooms at the pointer.");
        ui.separator();
        menus::tools_ui(ui, state, commands);
        menus::region_ui(ui, state, commands);
        ui.separator();
        window_level::menu_ui(ui, state, commands);
        menus::plane_ui(ui, state, commands);
        ui.separator();
        comparison_ui(ui, state, commands);
        style_ui(ui, state, commands);
        pictures_ui(ui, state, commands);
    });
}

fn style_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let name = MaskStyle::ALL.iter().find(|(style, _)| *style == state.view.mask_style).map_or("", |(_, name)| name);
    let response = ui.menu_button(name, |ui| {
        for (style, name) in MaskStyle::ALL {
            let tip = match style {
                MaskStyle::Overlay => "The mask over its image, with its contour.",
                MaskStyle::Contour => "Only the mask's contour over its image.",
                MaskStyle::Mask => "The mask alone, by class.",
                MaskStyle::Probability => "The probability of the positive class alone: black is 0, white is 1.",
            };
            if ui.add(Button::selectable(state.view.mask_style == style, name)).on_hover_text(tip).clicked() {
                change(state, commands, |view| view.mask_style = style);
                ui.close();
            }
        }
        ui.separator();
        ui.horizontal(|ui| {
            ui.label(theme::weak(ui, "Opacity"));
            let mut percent = state.view.opacity * 100.0;
            let drag = DragValue::new(&mut percent).range(0.0..=100.0).speed(0.5).max_decimals(0).suffix(" %");
            if ui.add(drag).accessible_name("Opacity of the overlay").changed() {
                change(state, commands, |view| view.opacity = percent / 100.0);
            }
        });
    });
    response.response.on_hover_text("How segmentations are drawn.");
}

fn comparison_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let name = match state.view.comparison {
        Comparison::SideBySide => "Compare",
        Comparison::Blink => "Blink",
        Comparison::Toggle => "A/B",
        Comparison::Swipe => "Swipe",
    };
    let entries = [
        (Comparison::Blink, "Blink", "The adversarial pictures alternate with the originals, in place. B"),
        (Comparison::Toggle, "A/B", "The key A exchanges the adversarial pictures for the originals, and back."),
        (Comparison::Swipe, "Swipe", "Drag a line over the adversarial pictures: left of it is the original. W"),
    ];
    let button = MenuButton::from_button(Button::new(name).selected(state.view.comparison != Comparison::SideBySide));
    let (response, _) = button.ui(ui, |ui| {
        for (comparison, name, tip) in entries {
            let on = state.view.comparison == comparison;
            if ui.add(Button::selectable(on, name)).on_hover_text(tip).clicked() {
                change(state, commands, |view| view.comparison = if on { Comparison::SideBySide } else { comparison });
            }
        }
        ui.separator();
        closely::blind_button(ui, commands);
    });
    response.on_hover_text("Original and adversarial picture in one place: blinking, or on two sides of a line.");
    if state.view.comparison == Comparison::Blink {
        closely::rate_ui(ui, state, commands);
    }
}

fn pictures_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    if state.view.focus.is_some() {
        if ui.button("Show all").on_hover_text("Back to all pictures. A double click does the same.").clicked() {
            change(state, commands, |view| view.focus = None);
        }
        return;
    }
    let menu = ui.menu_button("Pictures", |ui| {
        for picture in Picture::ALL {
            let on = state.view.pictures.contains(&picture);
            let mut checked = on;
            if ui.checkbox(&mut checked, picture.title()).changed() {
                change(state, commands, |view| set_shown(&mut view.pictures, picture, checked));
            }
        }
        ui.separator();
        menus::shown_ui(ui, state, commands);
    });
    menu.response
        .on_hover_text("Which pictures are shown, and what on them. A small pane shows the most telling ones.");
}

/// Adds or removes a picture; the order is always that of [`Picture::ALL`], and the last one stays.
fn set_shown(pictures: &mut Vec<Picture>, picture: Picture, shown: bool) {
    let keep = |p: &Picture| if *p == picture { shown } else { pictures.contains(p) };
    let kept: Vec<Picture> = Picture::ALL.into_iter().filter(keep).collect();
    if !kept.is_empty() {
        *pictures = kept;
    }
}

/// Sends a changed copy of the view.
pub fn change(state: &State, commands: &CommandSender, change: impl FnOnce(&mut View)) {
    let mut view = state.view.clone();
    change(&mut view);
    commands.send(Command::View(Box::new(view)));
}

/// The slider of the noise's gain; whether a person moved it. It shows all digits that a gain has: one that it had to round
/// would count as moved, and end the automatic gain.
pub fn gain_slider(ui: &mut Ui, gain: &mut f32) -> bool {
    let before = *gain;
    let slider = egui::Slider::new(gain, 1.0..=MOST_GAIN).logarithmic(true).prefix("×").max_decimals(3);
    ui.add(slider).accessible_name("Noise gain").changed() && *gain != before
}

/// The menu of the noise's gain, in its title.
pub fn gain_ui(ui: &mut Ui, state: &State, commands: &CommandSender, reach: f64) {
    let response = ui.menu_button(RichText::new("Gain").small(), |ui| {
        let mut auto = state.view.auto_gain;
        if ui
            .checkbox(&mut auto, "Automatic")
            .on_hover_text("The largest change of a pixel fills the colour range.")
            .changed()
        {
            let gain = state.view.gain_at(reach);
            change(state, commands, |view| {
                view.gain = gain;
                view.auto_gain = auto;
            });
        }
        let mut gain = state.view.gain_at(reach);
        if ui.add_enabled_ui(!auto, |ui| gain_slider(ui, &mut gain)).inner {
            change(state, commands, |view| view.gain = gain);
        }
        ui.horizontal(|ui| {
            for step in [1.0, 10.0, 100.0, 1000.0] {
                let on = !auto && gain == step;
                let button = ui.add(Button::selectable(on, format!("×{step}")));
                if button.accessible_name(format!("Noise gain ×{step}")).clicked() {
                    change(state, commands, |view| (view.gain, view.auto_gain) = (step, false));
                }
            }
        });
    });
    response
        .response
        .on_hover_text("The noise is multiplied by this before it is shown. It would be invisible otherwise.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_order_and_one_stays() {
        let mut pictures = vec![Picture::Original, Picture::Adversarial];
        set_shown(&mut pictures, Picture::Noise, true);
        assert_eq!(pictures, [Picture::Original, Picture::Noise, Picture::Adversarial]);
        for picture in Picture::ALL {
            set_shown(&mut pictures, picture, false);
        }
        assert_eq!(pictures.len(), 1);
    }
}
