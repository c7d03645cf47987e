//! Small PNG files, all different.

use anyhow::Result;

pub(super) const WIDTH: u32 = 32;
pub(super) const HEIGHT: u32 = 24;

/// Makes this many images with keys in nested folders.
pub(super) fn make(count: u32) -> Result<Vec<(String, Vec<u8>)>> {
    (0..count).map(|number| Ok((key(number), encode(number)?))).collect()
}

fn key(number: u32) -> String {
    format!("images/cam-{}/hour-{:02}/{number:05}.png", number % 4, number / 4 % 24)
}

/// A gradient with the number in black and white blocks, which makes the image unique.
fn encode(number: u32) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let shade = |weight: u32| u8::try_from((x * 5 + y * 3 + number * weight) % 256);
            let gradient = [shade(7)?, shade(11)?, shade(13)?];
            let is_block = (8..12).contains(&y);
            let is_white = number >> (x / 2) & 1 == 1;
            pixels.extend(if is_block { [if is_white { 255 } else { 0 }; 3] } else { gradient });
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn images_are_valid_and_all_different() {
        let images = make(300).unwrap();
        for (key, bytes) in &images {
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((frame.width, frame.height), (WIDTH, HEIGHT), "{key}");
        }
        let keys: BTreeSet<_> = images.iter().map(|(key, _)| key).collect();
        let contents: BTreeSet<_> = images.iter().map(|(_, bytes)| bytes).collect();
        assert_eq!((keys.len(), contents.len()), (300, 300));
    }
}
