//! How the window looks: colours, fonts, spacing. The only file of the window that makes colours.

use super::state::{Look, Theme};
use eframe::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, FontTweak, Margin, Shadow, Stroke,
    TextStyle, Visuals, epaint::text::VariationCoords, style::HandleShape, vec2,
};
use std::sync::Arc;

/// The family of headings and captions: the same font, heavier.
pub const SEMIBOLD: &str = "semibold";

/// Okabe and Ito's colours, which all kinds of colour vision tell apart.
pub mod okabe_ito {
    use eframe::egui::Color32;
    /// Orange.
    pub const ORANGE: Color32 = Color32::from_rgb(230, 159, 0);
    /// Sky blue.
    pub const SKY_BLUE: Color32 = Color32::from_rgb(86, 180, 233);
    /// Bluish green.
    pub const GREEN: Color32 = Color32::from_rgb(0, 158, 115);
    /// Yellow.
    pub const YELLOW: Color32 = Color32::from_rgb(240, 228, 66);
    /// Blue.
    pub const BLUE: Color32 = Color32::from_rgb(0, 114, 178);
    /// Vermillion.
    pub const VERMILLION: Color32 = Color32::from_rgb(213, 94, 0);
    /// Reddish purple.
    pub const PURPLE: Color32 = Color32::from_rgb(204, 121, 167);
}

/// Behind bright lines and letters on pictures, so that they show on any tissue.
pub const SHADOW: Color32 = Color32::from_black_alpha(150);
/// Lines and letters on pictures.
pub const MARK: Color32 = Color32::from_rgba_premultiplied(220, 220, 220, 220);
/// What surrounds the images of a reader study: a middle grey in both themes, so that the eye is adapted to what it judges and a threshold
/// does not depend on the look of the program.
pub const SURROUND: Color32 = Color32::from_gray(112);
/// Words and marks on it.
pub const ON_SURROUND: Color32 = Color32::from_gray(252);
/// The region of interest: Okabe and Ito's bluish green, lighter, since it lies on dark pictures.
pub const REGION: Color32 = Color32::from_rgb(90, 220, 170);

/// The colours that have a meaning. Get them with [`palette`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Behind pictures.
    pub picture_background: Color32,
    /// Behind panels.
    pub panel: Color32,
    /// Behind bars (top, ε, status).
    pub bar: Color32,
    /// Hairlines.
    pub line: Color32,
    /// What a person moves or chose: the one accent.
    pub accent: Color32,
    /// A wash of the accent, behind text.
    pub accent_wash: Color32,
    /// Text.
    pub text: Color32,
    /// Text of lesser weight: captions, units.
    pub weak: Color32,
    /// The attack's curve.
    pub attack: Color32,
    /// A second quantity of the attack, in the same plot.
    pub attack_second: Color32,
    /// The control's curve.
    pub control: Color32,
    /// The clean value.
    pub baseline: Color32,
    /// It got better, or it worked.
    pub good: Color32,
    /// Attention.
    pub warning: Color32,
    /// It failed, or it got worse.
    pub bad: Color32,
}

const DARK: Palette = Palette {
    picture_background: Color32::from_gray(11),
    panel: Color32::from_gray(30),
    bar: Color32::from_gray(36),
    line: Color32::from_gray(56),
    accent: Color32::from_rgb(92, 168, 255),
    accent_wash: Color32::from_rgb(36, 62, 92),
    text: Color32::from_gray(222),
    weak: Color32::from_gray(158),
    attack: Color32::from_rgb(240, 128, 48),
    attack_second: okabe_ito::SKY_BLUE,
    control: Color32::from_gray(140),
    baseline: Color32::from_gray(196),
    good: Color32::from_rgb(70, 196, 150),
    warning: Color32::from_rgb(240, 180, 60),
    bad: Color32::from_rgb(255, 122, 98),
};

const LIGHT: Palette = Palette {
    picture_background: Color32::from_gray(224),
    panel: Color32::from_gray(247),
    bar: Color32::from_gray(238),
    line: Color32::from_gray(206),
    accent: Color32::from_rgb(0, 96, 196),
    accent_wash: Color32::from_rgb(206, 226, 250),
    text: Color32::from_gray(32),
    weak: Color32::from_gray(96),
    attack: Color32::from_rgb(196, 78, 0),
    attack_second: okabe_ito::BLUE,
    control: Color32::from_gray(128),
    baseline: Color32::from_gray(72),
    good: Color32::from_rgb(0, 118, 82),
    warning: Color32::from_rgb(150, 96, 0),
    bad: Color32::from_rgb(186, 36, 12),
};

/// Colours of curves beside one another: Okabe and Ito's, those first that stand out most on the panels.
pub fn series(dark: bool) -> [Color32; 7] {
    use okabe_ito::{BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILLION, YELLOW};
    if dark {
        [ORANGE, SKY_BLUE, GREEN, YELLOW, PURPLE, VERMILLION, BLUE]
    } else {
        // Yellow does not show on white; black takes its place.
        [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, Color32::BLACK]
    }
}

/// The colours of a theme.
pub fn palette(theme: Theme) -> &'static Palette {
    match theme {
        Theme::Dark => &DARK,
        Theme::Light => &LIGHT,
    }
}

/// The colours of the theme that `ui` is drawn in.
pub fn of(ui: &egui::Ui) -> &'static Palette {
    if ui.visuals().dark_mode { &DARK } else { &LIGHT }
}

/// The heavier font, for painters.
pub fn semibold_family() -> FontFamily {
    FontFamily::Name(SEMIBOLD.into())
}

/// Text in the heavier font, for headings and captions.
pub fn semibold(text: impl Into<String>) -> egui::RichText {
    egui::RichText::new(text).family(FontFamily::Name(SEMIBOLD.into()))
}

/// Text of lesser weight.
pub fn weak(ui: &egui::Ui, text: impl Into<String>) -> egui::RichText {
    egui::RichText::new(text).color(of(ui).weak)
}

/// Loads the fonts, once. Figures are tabular: they do not dance when numbers change.
pub fn install_fonts(context: &egui::Context) {
    const FONT: &[u8] = include_bytes!("../../assets/fonts/IBMPlexSans.ttf");
    let mut fonts = FontDefinitions::default();
    let weight = |weight: f32| {
        let coords = VariationCoords::new([(b"wght", weight)]);
        Arc::new(FontData::from_static(FONT).tweak(FontTweak { coords, ..FontTweak::default() }))
    };
    fonts.font_data.insert("plex".to_owned(), weight(400.0));
    fonts.font_data.insert("plex-semibold".to_owned(), weight(600.0));
    // What Plex lacks (∇, ‖) is in the monospace font that egui brings.
    let mut fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    fallback.extend(fonts.families.get(&FontFamily::Monospace).cloned().unwrap_or_default());
    let family = |first: &str| std::iter::once(first.to_owned()).chain(fallback.iter().cloned()).collect::<Vec<_>>();
    fonts.families.insert(FontFamily::Proportional, family("plex"));
    fonts.families.insert(FontFamily::Name(SEMIBOLD.into()), family("plex-semibold"));
    context.set_fonts(fonts);
}

/// How much larger than normal the window's type is: presenter mode is read from the last row.
pub fn type_size(look: &Look) -> f32 {
    if look.presenter { 1.5 } else { 1.0 }
}

/// Applies a look to everything.
pub fn apply(context: &egui::Context, look: &Look, still: bool) {
    let theme = match look.theme {
        Theme::Dark => egui::Theme::Dark,
        Theme::Light => egui::Theme::Light,
    };
    context.set_theme(theme);
    let mut style = (*context.style_of(theme)).clone();
    let large = type_size(look);
    let size = |points: f32| (points * large).round();
    style.text_styles = [
        (TextStyle::Small, FontId::proportional(size(11.0))),
        (TextStyle::Body, FontId::proportional(size(13.0))),
        (TextStyle::Button, FontId::proportional(size(13.0))),
        (TextStyle::Monospace, FontId::monospace(size(12.0))),
        (TextStyle::Heading, FontId::new(size(15.0), FontFamily::Name(SEMIBOLD.into()))),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Button;
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 4.0);
    spacing.button_padding = vec2(8.0, 4.0);
    spacing.interact_size = vec2(32.0, size(24.0));
    spacing.icon_width = size(16.0);
    spacing.icon_width_inner = size(8.0);
    spacing.icon_spacing = 8.0;
    spacing.indent = 16.0;
    spacing.combo_width = 96.0;
    // What goes on below is seen before a pointer finds it.
    spacing.scroll.dormant_handle_opacity = 0.35;
    spacing.slider_width = 120.0;
    spacing.slider_rail_height = 4.0;
    spacing.window_margin = Margin::same(12);
    spacing.menu_margin = Margin::same(4);
    spacing.tooltip_width = 360.0;
    spacing.menu_width = 320.0;
    spacing.combo_height = 400.0;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    style.animation_time = if still { 0.0 } else { 0.1 };
    style.visuals = visuals(look.theme);
    context.set_style_of(theme, style);
}

fn visuals(theme: Theme) -> Visuals {
    let palette = palette(theme);
    let dark = theme == Theme::Dark;
    let grey = |dark_value: u8, light_value: u8| Color32::from_gray(if dark { dark_value } else { light_value });
    let mut visuals = if dark { Visuals::dark() } else { Visuals::light() };
    visuals.panel_fill = palette.panel;
    visuals.window_fill = grey(40, 252);
    visuals.window_stroke = Stroke::new(1.0, grey(72, 190));
    visuals.window_corner_radius = CornerRadius::same(6);
    visuals.menu_corner_radius = CornerRadius::same(6);
    visuals.extreme_bg_color = grey(20, 255);
    visuals.text_edit_bg_color = Some(grey(20, 255));
    visuals.faint_bg_color = grey(35, 242);
    visuals.code_bg_color = grey(48, 232);
    visuals.weak_text_color = Some(palette.weak);
    visuals.hyperlink_color = palette.accent;
    visuals.warn_fg_color = palette.warning;
    visuals.error_fg_color = palette.bad;
    visuals.selection.bg_fill = palette.accent_wash;
    visuals.selection.stroke = Stroke::new(1.0, if dark { grey(250, 0) } else { palette.accent });
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = HandleShape::Circle;
    visuals.indent_has_left_vline = false;
    visuals.striped = false;
    visuals.disabled_alpha = 0.45;
    visuals.text_cursor.stroke = Stroke::new(2.0, palette.accent);
    let shadow =
        Shadow { offset: [0, 4], blur: 16, spread: 0, color: Color32::from_black_alpha(if dark { 120 } else { 48 }) };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;

    let widgets = &mut visuals.widgets;
    for widget in [
        &mut widgets.noninteractive,
        &mut widgets.inactive,
        &mut widgets.hovered,
        &mut widgets.active,
        &mut widgets.open,
    ] {
        widget.corner_radius = CornerRadius::same(4);
        widget.expansion = 0.0;
    }
    widgets.noninteractive.bg_fill = palette.panel;
    widgets.noninteractive.weak_bg_fill = palette.panel;
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, palette.line);
    widgets.noninteractive.fg_stroke = Stroke::new(1.0, palette.text);
    widgets.inactive.bg_fill = grey(66, 208);
    widgets.inactive.weak_bg_fill = grey(52, 228);
    widgets.inactive.bg_stroke = Stroke::NONE;
    widgets.inactive.fg_stroke = Stroke::new(1.0, palette.text);
    widgets.hovered.bg_fill = grey(82, 196);
    widgets.hovered.weak_bg_fill = grey(66, 216);
    widgets.hovered.bg_stroke = Stroke::new(1.0, grey(104, 150));
    widgets.hovered.fg_stroke = Stroke::new(1.0, grey(250, 10));
    widgets.active.bg_fill = grey(92, 184);
    widgets.active.weak_bg_fill = grey(78, 204);
    widgets.active.bg_stroke = Stroke::new(1.5, palette.accent);
    widgets.active.fg_stroke = Stroke::new(1.0, grey(255, 0));
    widgets.open.bg_fill = grey(52, 226);
    widgets.open.weak_bg_fill = grey(60, 220);
    widgets.open.bg_stroke = Stroke::new(1.0, palette.line);
    widgets.open.fg_stroke = Stroke::new(1.0, palette.text);
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of a grey, as WCAG defines it.
    fn light(grey: Color32) -> f64 {
        let value = f64::from(grey.r()) / 255.0;
        if value > 0.04045 { ((value + 0.055) / 1.055).powf(2.4) } else { value / 12.92 }
    }

    #[test]
    fn words_beside_the_images_of_a_study_can_be_read() {
        let contrast = (light(ON_SURROUND) + 0.05) / (light(SURROUND) + 0.05);
        assert!(contrast >= 4.5, "{contrast}");
        assert!((0.12..0.25).contains(&light(SURROUND)), "a middle grey: about a fifth of white");
    }
}
