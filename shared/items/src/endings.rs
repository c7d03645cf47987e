//! Endings of names of formats that hold no tasks, in lower case. Such an object is refused without a request for it.
//!
//! Those of countries are left out, whatever else they mean: a key may end in a mail address or a host name.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Images.
const IMAGES: &str = "\
    png jpg jpeg jpe jfif gif bmp tif tiff webp heic heif avif svg ico jp2 j2k psd cr2 cr3 nef arw dng \
    exr hdr tga ppm pgm pbm pnm dcm nii svgz jxl jpf jpx jng apng icns cur dib pcx xcf eps indd dds \
    ktx ktx2 fits nrrd mha mhd svs ndpi czi lif rw2 orf raf pef srw sr2 x3f emf wmf wbmp heics hif";

/// Audio.
const AUDIO: &str = "\
    mp3 wav flac ogg oga opus m4a aac wma aif aiff amr mid midi alac ape ac3 dts caf mka m4b mp2 mpa \
    snd weba wv ra spx tta voc dsf mpc";

/// Video.
const VIDEO: &str = "\
    mp4 m4v mov avi mkv webm wmv flv mpg mpeg m2ts mts 3gp ogv vob 3g2 asf f4v hevc h264 h265 divx m2v \
    mxf rm rmvb y4m yuv mjpeg mjpg ogm m1v m2t qt insv r3d";

/// Archives and compression that is not read.
const ARCHIVES: &str = "\
    zip tar tgz tbz tbz2 txz 7z rar bz2 xz lz4 lzma snappy jar iso dmg cab tzst tlz taz tb2 cpio \
    deb rpm apk war ear aar whl egg gem crate nupkg vsix xpi crx lz lzo lzh lha arj ace z zipx xar \
    pkg msi wim sit sitx img vmdk vhd vhdx vdi qcow2 squashfs cbz cbr";

/// Documents and tables.
const DOCUMENTS: &str = "\
    pdf doc docx xls xlsx ppt pptx odt ods odp rtf epub csv tsv parquet orc avro arrow feather h5 hdf5 \
    npy npz pkl pickle mat tfrecord tfrecords db sqlite sqlite3 xml html htm xhtml yaml yml css js \
    sql ipynb";

/// Models, point clouds and programs.
const BINARIES: &str = "\
    pth onnx safetensors ckpt pb las laz pcd ply stl glb exe dll";

/// All of them.
pub(super) static OTHER: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    [IMAGES, AUDIO, VIDEO, ARCHIVES, DOCUMENTS, BINARIES]
        .iter()
        .flat_map(|text| text.split_ascii_whitespace())
        .collect()
});
