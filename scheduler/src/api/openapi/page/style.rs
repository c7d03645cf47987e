//! The style sheet of the page. The page's policy allows it by its hash.

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:0 1rem 4rem}\
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1rem;list-style:none;padding:0}\
h2{border-bottom:1px solid;margin-top:2.5rem;text-transform:capitalize}\
h3{font-size:1rem;margin:1rem 0 .2rem}\
details{border-bottom:1px solid #8884}\
details[open]{padding-bottom:1rem}\
details:target>summary{background:#8883}\
summary{cursor:pointer;padding:.3rem 0}\
summary b{display:inline-block;min-width:4.2rem;font-family:monospace}\
.get{color:#06c}.post{color:#080}.put,.patch{color:#a50}.delete{color:#c00}\
code,pre{font-family:ui-monospace,monospace;font-size:.9rem}\
pre{background:#8882;padding:.6rem;overflow:auto}\
table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{border-bottom:1px solid #8884;padding:.25rem .6rem .25rem 0;text-align:left;vertical-align:top}\
td{overflow-wrap:anywhere}";
