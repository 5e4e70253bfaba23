/** The report as one HTML page without outside references. */

import type { Outcome, Report, ReportRow } from './report.js';

const classes: Record<Outcome, string> = {
  unchanged: 'same',
  automatic: 'auto',
  'by rule': 'rule',
  'by hand': 'hand',
  new: 'new',
  dropped: 'gone',
  'needs a rule': 'need',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const style = `
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; font-weight: 600; } h2 { font-size: 1.05rem; margin-top: 2rem; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr.field td:first-child { padding-left: 1.5rem; }
.tag { border-radius: .6rem; padding: 0 .55rem; white-space: nowrap; font-size: 13px; }
.same { background: #8883; } .auto { background: #2a83; } .rule { background: #29c3; } .hand { background: #c903; } .new { background: #66f3; } .gone { background: #c903; } .need { background: #d336; }
.counts span { margin-right: 1rem; } .need-box { border-left: 4px solid #d33; padding: .1rem 1rem; margin: 1rem 0; } pre { background: #8882; padding: .6rem .8rem; overflow-x: auto; }
.place { opacity: .65; }`;

function table(rows: readonly ReportRow[]): string {
  const body = rows.map(
    (r) =>
      `<tr class="${r.kind}"><td><code>${escapeHtml(r.name)}</code></td><td><span class="tag ${classes[r.outcome]}">${r.outcome}</span></td><td>${escapeHtml(r.detail)}</td><td class="place">${escapeHtml(r.place ?? '')}</td></tr>`,
  );
  return `<table><tbody>\n${body.join('\n')}\n</tbody></table>`;
}

export function reportHtml(report: Report): string {
  const count = (o: Outcome): number => report.rows.filter((r) => r.outcome === o).length;
  const counts = (Object.keys(classes) as Outcome[])
    .filter((o) => count(o) > 0)
    .map((o) => `<span class="tag ${classes[o]}">${count(o)} ${o}</span>`);
  const variables = report.rows.filter((r) => r.kind === 'variable');
  const types = report.rows.filter((r) => r.kind !== 'variable');
  const problems = report.problems.map(
    (p) =>
      `<div class="need-box"><p><b>${escapeHtml(p.code)}</b> ${escapeHtml(p.message)}</p><table><tbody><tr><td>old</td><td><code>${escapeHtml(p.old)}</code></td><td class="place">${escapeHtml(p.oldPlace ?? '')}</td></tr><tr><td>new</td><td><code>${escapeHtml(p.new)}</code></td><td class="place">${escapeHtml(p.newPlace ?? '')}</td></tr><tr><td>reached by</td><td><code>${escapeHtml(p.reach)}</code></td><td></td></tr></tbody></table><p>${escapeHtml(p.remedy)}</p><pre>${escapeHtml(p.skeleton)}</pre></div>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(report.old)} → ${escapeHtml(report.new)}</title><style>${style}</style>
<h1>${escapeHtml(report.old)} → ${escapeHtml(report.new)}</h1>
<p class="counts">${counts.join('')}</p>
${problems.length > 0 ? `<h2>Rules that are missing</h2>\n${problems.join('\n')}` : ''}
<h2>Variables</h2>
${table(variables)}
${types.length > 0 ? `<h2>Types</h2>\n${table(types)}` : ''}
</html>
`;
}
