# holt_bench's CSV → tables in Markdown on stdout, and the roofline as an SVG in the file `svg`. `gpu`: its name.

# What the maker states: memory GB/s; GFLOP/s f32; GFLOP/s bf16, dense, with float sums. Unknown: 0.
function nominal(kind) {
  if (gpu ~ /H100/) return kind == "copy" ? 3350 : kind == "f32" ? 67000 : 989000
  if (gpu ~ /A100/) return kind == "copy" ? 2039 : kind == "f32" ? 19500 : 312000
  if (gpu ~ /B200/) return kind == "copy" ? 8000 : kind == "f32" ? 75000 : 2250000
  if (gpu ~ /RTX 4090/) return kind == "copy" ? 1008 : kind == "f32" ? 82600 : 165000
  if (gpu ~ /RTX 5090/) return kind == "copy" ? 1792 : kind == "f32" ? 104800 : 209500
  return 0
}
function percent(part, whole) { return whole > 0 ? sprintf("%.0f", 100 * part / whole) : "–" }
function duration(s) { return s < 1e-3 ? sprintf("%.1f µs", s * 1e6) : sprintf("%.2f ms", s * 1e3) }
function log10(x) { return log(x) / log(10) }
function escape(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); return s }

BEGIN { FS = "\"" }
NR == 1 { next }
{
  n++
  name[n] = $2
  split($3, v, ",")
  seconds[n] = v[2]; bytes[n] = v[3]; flops[n] = v[4]; gbytes[n] = v[5]; gflops[n] = v[6]; roof[n] = v[8]
  copy = v[9]; kind[n] = $2 ~ / bf16( |$)/ ? "bf16" : $2 ~ / f16( |$)/ ? "f16" : "f32"
  peak[kind[n]] = v[10]
  # "op shape dtype rung": the rung is what follows the dtype.
  rung[n] = base[n] = $2
  if (match($2, / (f32|bf16|f16|f64|i64|i32|u8) [a-z0-9_]+$/)) {
    sub(/^.* /, "", rung[n])
    base[n] = substr($2, 1, length($2) - length(rung[n]) - 1)
  } else rung[n] = ""
  if (!(base[n] in first)) { first[base[n]] = n; order[++groups] = base[n] }
  time[base[n], rung[n]] = v[2]
  if (rung[n] != "vendor" && (!(base[n] in own) || v[2] < own[base[n]])) { own[base[n]] = v[2]; best[base[n]] = rung[n] }
}
END {
  if (n == 0) { print "No benchmark ran."; exit 1 }
  printf "Measured: copy %.0f GB/s, products f32 %.0f and bf16 %.0f GFLOP/s.", copy, peak["f32"], peak["bf16"]
  if (nominal("copy")) printf " Stated by the maker: %d GB/s, %d and %d GFLOP/s.", nominal("copy"), nominal("f32"), nominal("bf16")
  print "\n\n![Roofline](roofline.svg)\n"

  for (g = 1; g <= groups; g++) if ((order[g], "vendor") in time) vendors++
  if (vendors) {
    print "## Own against vendor\n\n| case | own, best rung | | vendor | own / vendor |\n|---|---|--:|--:|--:|"
    for (g = 1; g <= groups; g++) {
      b = order[g]
      if ((b, "vendor") in time)
        printf "| %s | %s | %s | %s | %.2f |\n", b, best[b], duration(own[b]), duration(time[b, "vendor"]), own[b] / time[b, "vendor"]
    }
    print ""
  }
  print "## Every case\n\n| case | rung | time | GB/s | % of copy | % of stated | GFLOP/s | % of peak | % of stated | % of roof |"
  print "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
  for (i = 1; i <= n; i++) {
    k = kind[i] == "f16" ? "bf16" : kind[i]
    printf "| %s | %s | %s | %.1f | %s | %s | %.1f | %s | %s | %.0f |\n", base[i], rung[i], duration(seconds[i]), gbytes[i],
      percent(gbytes[i], copy), percent(gbytes[i], nominal("copy")), gflops[i], percent(gflops[i], peak[kind[i]]),
      percent(gflops[i], nominal(k)), roof[i]
  }
  draw()
}

# Log-log: flops a byte → GFLOP/s. A dot a case, best own rung blue, vendor orange, other rungs grey; the roofs as lines.
function x_of(intensity) { return 60 + 700 * (log10(intensity) + 2) / 6 }
function y_of(rate) { return 440 - 400 * (log10(rate) - 0) / 7 }
function line(x1, y1, x2, y2, colour) { printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour > svg }
function text(x, y, s, anchor) { printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escape(s) > svg }
function draw(   i, e, k, knee, colour, intensity) {
  print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"490\" font-family=\"sans-serif\" font-size=\"11\">" > svg
  print "<rect width=\"800\" height=\"490\" fill=\"white\"/>" > svg
  for (e = -2; e <= 4; e++) { line(x_of(10 ^ e), 40, x_of(10 ^ e), 440, "#e0e0e0"); text(x_of(10 ^ e), 456, "1e" e, "middle") }
  for (e = 0; e <= 7; e++) { line(60, y_of(10 ^ e), 760, y_of(10 ^ e), "#e0e0e0"); text(54, y_of(10 ^ e) + 4, "1e" e, "end") }
  text(410, 476, "flops a byte", "middle"); text(60, 28, "GFLOP/s on " gpu, "start")
  split("f32 bf16", kinds, " ")
  for (i = 1; i <= 2; i++) {
    k = kinds[i]
    if (peak[k] <= 0 || copy <= 0) continue
    knee = peak[k] / copy
    line(x_of(0.01 > 1 / copy ? 0.01 : 1 / copy), y_of(0.01 > 1 / copy ? 0.01 * copy : 1), x_of(knee), y_of(peak[k]), "#404040")
    line(x_of(knee), y_of(peak[k]), 760, y_of(peak[k]), "#404040")
    text(760, y_of(peak[k]) - 4, k, "end")
  }
  for (i = 1; i <= n; i++) {
    if (flops[i] <= 0 || gflops[i] < 1 || bytes[i] <= 0) continue
    intensity = flops[i] / bytes[i]
    if (intensity < 0.01) continue
    colour = rung[i] == "vendor" ? "#e07000" : rung[i] == best[base[i]] ? "#0060c0" : "#a0a0a0"
    printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\" fill-opacity=\"0.7\"><title>%s</title></circle>\n", x_of(intensity),
      y_of(gflops[i]), colour, escape(name[i]) > svg
  }
  print "</svg>" > svg
}
