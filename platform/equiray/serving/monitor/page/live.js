'use strict';
const EVERY = 5000, LONGEST = 60000, STORED = 'equiray-key';
const byId = id => document.getElementById(id);
const count = n => n.toLocaleString('en');
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
const fixed = v => v === null ? 'not estimable' : v.toFixed(3);
const brackets = one => one.low === null ? '' : `[${one.low.toFixed(3)}, ${one.high.toFixed(3)}]`;
const RATES = {tpr: 'true positive rate', fnr: 'false negative rate', fpr: 'false positive rate', tnr: 'true negative rate', ppv: 'positive predictive value'};
const words = name => name.replaceAll('_', ' ').replace(/^(tpr|fnr|fpr|tnr|ppv)\b/, short => RATES[short]);
const capital = text => text.charAt(0).toUpperCase() + text.slice(1);
const clock = at => at === null ? 'never' : `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;
let version = null, last = null, timer = null, wait = EVERY;

// Everything that comes from the service goes in as text, never as markup.
function el(name, attributes, ...inside) {
  const made = name.startsWith('svg:')
    ? document.createElementNS('http://www.w3.org/2000/svg', name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...inside.filter(one => one !== null && one !== ''));
  return made;
}
const put = (id, ...inside) => byId(id).replaceChildren(...inside.filter(Boolean));

// Positions are percent of the track.
function track(one, most, bound, side) {
  const at = v => `${(100 * Math.min(Math.max(v / most, 0), 1)).toFixed(2)}%`;
  const svg = el('svg:svg', {height: 24, 'aria-hidden': 'true'});
  if (bound !== undefined) {
    const allowed = side === 'max' ? {x: 0, width: at(bound)} : {x: at(bound), width: `${100 - parseFloat(at(bound))}%`};
    svg.append(el('svg:rect', {class: 'allowed', y: 2, height: 20, ...allowed}));
  }
  svg.append(el('svg:line', {class: 'grid', x1: 0, x2: '100%', y1: 12, y2: 12}));
  if (bound !== undefined) svg.append(el('svg:line', {class: 'limit', x1: at(bound), x2: at(bound), y1: 0, y2: 24}));
  if (one.low !== null) svg.append(el('svg:line', {class: 'bar', x1: at(one.low), x2: at(one.high), y1: 12, y2: 12}));
  if (one.value !== null) svg.append(el('svg:circle', {class: 'dot', cx: at(one.value), cy: 12, r: 4}));
  return svg;
}
const scale = most => el('div', {class: 'row axis', 'aria-hidden': 'true'},
  el('span', {class: 'sides'}, el('span', {}, '0'), el('span', {}, String(most))));

function evidence(one) {
  const share = Math.min(Math.max(Math.log(one.e_value) / Math.log(one.e_needed), 0), 1);
  return el('svg:svg', {height: 4, class: 'evidence', 'aria-hidden': 'true'},
    el('svg:rect', {width: '100%', height: 4, rx: 2}),
    el('svg:rect', {class: 'won', width: `${(100 * share).toFixed(1)}%`, height: 4, rx: 2}));
}
const times = v => v >= 1e6 ? v.toExponential(1) : v >= 10 ? count(Math.round(v)) : v.toFixed(2);

function bound(one) {
  const numbers = [one.value, one.high, one.bound].filter(v => v !== null);
  const most = one.side === 'min' ? 1 : Math.min(1, Math.ceil(12 * Math.max(...numbers)) / 10) || 1;
  const left = el('div', {},
    el('h3', {}, capital(words(one.rule))),
    el('p', {}, el('span', {class: 'chip'}, one.verdict), ' ',
      el('span', {class: 'numbers'}, fixed(one.value), ' ', el('span', {class: 'ci'}, brackets(one)))),
    el('p', {class: 'quiet'}, `${capital(one.reason)}.`));
  const source = one.source === 'validation' ? `The bound is a limit of the bundle’s test, wrong with probability ${+one.bound_error.toPrecision(3)}. ` : '';
  const right = el('div', {},
    track(one, most, one.bound, one.side), scale(most), evidence(one),
    el('p', {class: 'quiet'}, `Bets hold ${times(one.e_value)} times their stake; it fails at ${times(one.e_needed)}. `,
      `${plural(one.n, 'row')}. ${source}`,
      one.alarm ? `Alarm at row ${count(one.alarm.row)}, ${clock(one.alarm.at)}, record ${count(one.alarm.seq)}.` : ''));
  return el('li', {class: one.verdict}, left, right);
}

function panel(metric, rows, style) {
  const about = style ? 'least and most that the rows so far allow' : 'of each group';
  const figure = el('figure', {class: style},
    el('figcaption', {}, capital(words(metric)), el('span', {}, about)));
  for (const {group, rate} of rows) {
    figure.append(el('div', {class: 'row'},
      el('span', {class: 'name'}, group), el('span', {class: 'plot'}, track(rate, 1)),
      el('span', {class: 'val'}, rate.value === null ? '–' : fixed(rate.value)),
      el('span', {class: 'ci'}, `${brackets(rate)} `, style ? '' : el('span', {class: 'n'}, `n ${count(rate.n)}`))));
  }
  return figure;
}

function attribute(one) {
  const found = {estimated: new Map(), bounds: new Map()};
  for (const group of one.groups) for (const rate of group.rates) {
    const into = found[rate.status === 'bounds' ? 'bounds' : 'estimated'];
    if (!into.has(rate.metric)) into.set(rate.metric, []);
    into.get(rate.metric).push({group: group.group, rate});
  }
  const panels = (map, style) => el('div', {class: 'panels'}, ...[...map].map(([metric, rows]) => panel(metric, rows, style)));
  const apart = one.groups.filter(group => !group.compared).map(group => `${group.group}: ${plural(group.n, 'row')}`);
  return [
    el('h3', {}, one.attribute === '(all)' ? 'All rows' : `By ${words(one.attribute).replaceAll('*', ' and ')}`),
    apart.length ? el('p', {class: 'quiet'}, `Compared with none: ${apart.join(', ')}.`) : '',
    found.estimated.size ? panels(found.estimated, '') : el('p', {class: 'quiet'}, 'No rows yet.'),
    found.bounds.size ? el('details', {'data-name': one.attribute}, el('summary', {}, 'Rates that can only be bounded: outcomes are seen for selected rows only'),
      panels(found.bounds, 'bounds-only')) : '',
  ].filter(Boolean);
}

function gate(one) {
  const rates = [['Opens for its group (TPR)', one.tpr], ['Opens for others (FPR)', one.fpr], ['Share of its group', one.prevalence]];
  const harm = one.no_harm;
  const said = harm.holds === null ? 'cannot be told' : harm.holds ? 'does no harm' : 'does harm';
  return [
    el('h3', {}, `${capital(words(one.gate))}: for ${one.vulnerable}`),
    el('figure', {}, ...rates.map(([name, rate]) => el('div', {class: 'row'}, el('span', {class: 'name'}, name),
      el('span', {class: 'plot'}, track(rate, 1)), el('span', {class: 'val'}, rate.value === null ? '–' : fixed(rate.value)),
      el('span', {class: 'ci'}, brackets(rate))))),
    el('p', {class: 'quiet'}, `Whether it harms: ${said}. `, harm.margin === null ? '' : `Margin ${fixed(harm.margin)} ${brackets(harm)}; `, `${harm.reason}.`),
  ];
}

function minutes(list) {
  if (!list.length) return [el('p', {class: 'quiet'}, 'Nothing yet.')];
  const most = Math.max(...list.map(one => Math.max(one.decided, one.outcomes)), 1), step = 100 / Math.max(list.length, 20);
  const svg = el('svg:svg', {class: 'minutes', height: 90, role: 'img',
    'aria-label': `Decisions and outcomes of the last ${plural(list.length, 'minute')} in which anything came; most in a minute: ${count(most)}`});
  list.forEach((one, i) => ['decided', 'outcomes'].forEach((word, j) => {
    const height = 84 * one[word] / most;
    svg.append(el('svg:rect', {class: word, x: `${i * step + j * step * .42}%`, width: `${step * .38}%`, y: 88 - height, height}));
  }));
  const rows = list.slice().reverse().map(one => el('tr', {}, el('th', {scope: 'row'}, one.minute.replace('T', ' ')),
    ...['decided', 'selected', 'outcomes'].map(word => el('td', {}, count(one[word])))));
  return [
    el('p', {class: 'quiet'}, el('span', {class: 'key'}), 'decisions a minute, ', el('span', {class: 'key outcomes'}), `outcomes; the highest bar is ${count(most)}. For the eye only: no verdict looks at windows.`),
    svg,
    el('details', {'data-name': 'minutes'}, el('summary', {}, 'As a table'), el('div', {class: 'scroll', tabindex: 0}, el('table', {},
      el('thead', {}, el('tr', {}, ...['Minute (UTC)', 'Decisions', 'Selected', 'Outcomes'].map(word => el('th', {scope: 'col'}, word)))),
      el('tbody', {}, ...rows)))),
  ];
}

function facts(id, pairs) {
  put(id, ...pairs.filter(([, value]) => value !== undefined && value !== null)
    .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))]));
}

function tile(name, big, small, style) {
  return el('div', {class: 'tile'}, el('dt', {}, name), el('dd', {class: `big ${style || ''}`}, big), el('dd', {class: 'small'}, small));
}

function audit(doc) {
  const log = doc.audit, passed = doc.passed_over;
  facts('log', [
    ['Records read', count(log.read)], ['Records in the log', log.length === undefined ? null : count(log.length)],
    ['Last record read', clock(doc.as_of.at)], ['Last checkpoint', log.checkpoint_at === undefined ? null : clock(log.checkpoint_at)],
    ['Log', (log.problems || []).length ? log.problems.join('; ') : log.problems ? 'no problem found' : null],
    ['Outcomes too late', count(passed.late)], ['Outcomes sent twice', count(passed.repeated)],
    ['Records not understood', count(passed.unreadable)],
  ]);
  const problems = [...passed.problems.map(one => `Record ${one.seq}: ${one.problem}`), ...doc.policy.not_watched.map(one => `Not watched: ${one}`)];
  put('problems', problems.length ? el('ul', {class: 'notes'}, ...problems.map(one => el('li', {}, one))) : null);
}

const DOING = {answer: 'answers', fall_back: 'fallen back', refuse: 'refuses'};
function sentence(doc, one) {
  if (!one) return 'No decision has been recorded yet.';
  const found = word => one.series.filter(series => series.verdict === word).length;
  const failed = one.series.filter(series => series.verdict === 'FAIL').map(series => words(series.rule));
  if (!one.series.length) return `Version ${one.model_version}: no bound is watched.`;
  if (failed.length) return `Version ${one.model_version} has failed: ${failed.join('; ')}.`;
  return `Version ${one.model_version}: ${count(found('PASS'))} of ${plural(one.series.length, 'bound')} kept, none failed, ${count(found('INCONCLUSIVE'))} undecided.`;
}

function render(doc) {
  const names = doc.versions.map(one => one.model_version);
  if (!names.includes(version)) version = names.includes(doc.serving) ? doc.serving : names[names.length - 1];
  const one = doc.versions.find(found => found.model_version === version);
  const open = new Set([...document.querySelectorAll('details[open]')].map(found => found.dataset.name));
  byId('title').textContent = doc.policy.name || 'Live fairness';
  document.title = `${one && one.verdict ? `${one.verdict} · ` : ''}Live fairness`;
  const said = sentence(doc, one);
  if (byId('spoken').textContent !== said) byId('spoken').textContent = said;
  byId('which').hidden = names.length < 2;
  if (document.activeElement !== byId('version')) {
    put('version', ...names.map(name => el('option', name === version ? {value: name, selected: ''} : {value: name}, name + (name === doc.serving ? ' (serving)' : ''))));
  }
  byId('main').hidden = byId('parts').hidden = !one;
  put('foot', el('p', {}, doc.policy.about || ''), el('p', {}, `As of record ${count(doc.as_of.seq)}, ${clock(doc.as_of.at)}. Alpha ${doc.alpha} over all bounds of all versions. Written by equiray.`));
  put('tiles', one ? tile('Verdict', one.verdict || 'none', one.accepted ? 'failures accepted by a person' : plural(one.series.length, 'bound'), one.verdict) : null,
    one ? tile('Decisions', count(one.decisions), `last ${clock(one.last_at)}`) : null,
    one ? tile('Outcomes', count(one.outcomes), doc.outcomes_for === 'every' ? 'seen whatever was decided' : 'seen for selected rows only') : null,
    doc.action ? tile('Gateway', DOING[doc.action.do], doc.action.by ? `by ${doc.action.by}` : doc.action.because, doc.action.do === 'answer' ? '' : 'FAIL') : null);
  audit(doc);
  if (!one) return;
  put('series', ...one.series.map(bound));
  put('attributes', ...one.attributes.flatMap(attribute));
  byId('gates').hidden = byId('to-gates').hidden = !one.gates.length;
  put('gate-list', ...one.gates.flatMap(gate));
  put('minutes', ...minutes(one.minutes));
  document.querySelectorAll('details').forEach(found => { found.open = open.has(found.dataset.name); });
}

function ask(problem) {
  byId('ask').hidden = false;
  byId('main').hidden = byId('parts').hidden = byId('which').hidden = true;
  ['tiles', 'series', 'attributes', 'gate-list', 'minutes', 'log', 'problems', 'foot'].forEach(id => put(id));
  byId('title').textContent = document.title = 'Live fairness';
  byId('spoken').textContent = problem;
  byId('key').focus();
}

function stale(problem) {
  const shown = last ? ` The figures below are of ${clock(last.as_of.at)}.` : '';
  byId('stale').textContent = problem + shown;
  byId('stale').hidden = false;
  wait = Math.min(2 * wait, LONGEST);
}

async function poll() {
  clearTimeout(timer);
  const key = sessionStorage.getItem(STORED);
  try {
    const answer = await fetch('v1/fairness', {headers: key ? {Authorization: `Bearer ${key}`} : {}, cache: 'no-store'});
    if (answer.status === 401 || answer.status === 403) {
      sessionStorage.removeItem(STORED);
      const body = await answer.json().catch(() => ({}));
      return ask(key ? (body.error && body.error.message) || 'This key does not open the figures.' : 'The figures need a key.');
    }
    if (answer.ok) {
      last = await answer.json();
      wait = EVERY;
      byId('stale').hidden = byId('ask').hidden = true;
      render(last);
    } else stale(`The service answers with status ${answer.status}.`);
  } catch (error) {
    if (error instanceof TypeError) stale('The service does not answer.'); else throw error;
  }
  timer = setTimeout(() => document.hidden ? null : poll(), wait);
}

byId('ask').addEventListener('submit', event => {
  event.preventDefault();
  sessionStorage.setItem(STORED, byId('key').value.trim());
  byId('key').value = '';
  poll();
});
byId('forget').addEventListener('click', () => { sessionStorage.removeItem(STORED); clearTimeout(timer); last = null; ask('The key is forgotten.'); });
byId('version').addEventListener('change', event => { version = event.target.value; render(last); });
document.addEventListener('visibilitychange', () => { if (!document.hidden && byId('ask').hidden) poll(); });
poll();
