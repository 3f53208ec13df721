//! Every colour that stands for something, as sRGB bytes. Classes and differences are of the palette by Okabe and Ito,
//! "Color universal design" (2008), which people with every kind of colour vision can tell apart.

use super::Theme;

/// Red, green, blue, sRGB.
pub type Rgb = [u8; 3];

/// Orange of Okabe and Ito.
pub const ORANGE: Rgb = [0xe6, 0x9f, 0x00];
/// Sky blue of Okabe and Ito.
pub const SKY_BLUE: Rgb = [0x56, 0xb4, 0xe9];
/// Bluish green of Okabe and Ito.
pub const BLUISH_GREEN: Rgb = [0x00, 0x9e, 0x73];
/// Yellow of Okabe and Ito.
pub const YELLOW: Rgb = [0xf0, 0xe4, 0x42];
/// Blue of Okabe and Ito.
pub const BLUE: Rgb = [0x00, 0x72, 0xb2];
/// Vermillion of Okabe and Ito.
pub const VERMILLION: Rgb = [0xd5, 0x5e, 0x00];
/// Reddish purple of Okabe and Ito.
pub const REDDISH_PURPLE: Rgb = [0xcc, 0x79, 0xa7];

/// The positive class: fill and contour.
pub const POSITIVE: Rgb = YELLOW;
/// The dashed contour of a second mask.
pub const SECOND: Rgb = SKY_BLUE;
/// Positive in both.
pub const AGREED: Rgb = BLUISH_GREEN;
/// Stripes over ignored pixels.
pub const IGNORED: Rgb = [0x9a, 0x9a, 0x9a];
/// Values that are not finite: never a plausible grey.
pub const NOT_FINITE: Rgb = REDDISH_PURPLE;
/// Beside a contour, so that it shows on bright tissue.
pub const CONTOUR_EDGE: Rgb = [0x10, 0x10, 0x12];
/// Lines between image pixels.
pub const GRID: Rgb = [0x80, 0x80, 0x80];
/// Around images in the dark theme.
pub const BACKGROUND_DARK: Rgb = [0x0c, 0x0c, 0x0d];
/// Around images in the light theme.
pub const BACKGROUND_LIGHT: Rgb = [0xec, 0xec, 0xee];

/// Colours of the classes 1, 2, … where there are more than two; further ones begin anew.
pub const CLASSES: [Rgb; 7] = [YELLOW, SKY_BLUE, ORANGE, BLUISH_GREEN, REDDISH_PURPLE, BLUE, VERMILLION];

/// The colour of a class above 0, the background, where there are more than two.
pub fn class(index: usize) -> Rgb {
    CLASSES[index.max(1).wrapping_sub(1) % CLASSES.len()]
}

/// The colours of classes: the positive one of two, then the classes 1, 2, … of several.
pub type ClassColours = [Rgb; 1 + CLASSES.len()];

/// Those that are `wished` for a class, else those of the palette. `positive` is the positive class of two.
pub fn class_colours(wished: impl Fn(usize) -> Option<Rgb>, positive: usize) -> ClassColours {
    std::array::from_fn(|i| match i {
        0 => wished(positive).unwrap_or(POSITIVE),
        class => wished(class).unwrap_or_else(|| self::class(class)),
    })
}

/// The negative class.
pub fn negative(theme: Theme) -> Rgb {
    match theme {
        Theme::Dark => [0x1e, 0x1e, 0x22],
        Theme::Light => [0xfa, 0xfa, 0xfa],
    }
}

/// Positive class of a mask that is shown alone: yellow on white would be hard to see.
pub fn positive_alone(theme: Theme) -> Rgb {
    match theme {
        Theme::Dark => POSITIVE,
        Theme::Light => BLUE,
    }
}

/// Positive in the mask, not in the one that it is compared with.
pub fn appeared(theme: Theme) -> Rgb {
    match theme {
        Theme::Dark => ORANGE,
        Theme::Light => VERMILLION,
    }
}

/// Positive in the one that it is compared with, not in the mask; always hatched as well.
pub fn vanished(theme: Theme) -> Rgb {
    match theme {
        Theme::Dark => SKY_BLUE,
        Theme::Light => BLUE,
    }
}

/// The noise map at −1, 0 and 1; straight lines in sRGB between them.
pub fn diverging_stops(theme: Theme) -> [Rgb; 3] {
    match theme {
        Theme::Dark => [SKY_BLUE, [0, 0, 0], ORANGE],
        Theme::Light => [BLUE, [0xff, 0xff, 0xff], VERMILLION],
    }
}

/// The noise map's colour at `t`, which is clamped to [−1, 1]: for legends.
pub fn diverging(theme: Theme, t: f32) -> Rgb {
    let [low, zero, high] = diverging_stops(theme);
    let t = t.clamp(-1.0, 1.0);
    let end = if t < 0.0 { low } else { high };
    std::array::from_fn(|i| {
        let (from, to) = (f32::from(zero[i]), f32::from(end[i]));
        (from + (to - from) * t.abs()).round() as u8
    })
}
