"""The templates and contexts of tools/make_jinja_goldens.py."""

CONTEXT = {
    "n": 7, "z": 0, "neg": -3, "f": 2.5, "t": True, "no": False, "nil": None, "s": "Hello World",
    "e": "", "u": "Grüße 😀 ñ", "html": "<a href=\"x\">'&'</a>", "lines": "one\ntwo\n\nthree\n",
    "pad": "  \t x y \n ", "l": [3, 1, 2], "le": [], "ls": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": [1, "x", None, True, 1.5], "items": "not a method"}, "de": {},
    "users": [{"name": "bob", "age": 30, "on": True, "x": {"y": 1}},
              {"name": "Al", "age": 25, "on": False, "x": {"y": 2}},
              {"name": "cy", "age": 30, "on": True, "x": {}}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
    "big": {"k%d" % i: i for i in range(20)},
}

_EXPRESSIONS = r"""
1 + 2 * 3|2 ** 3 ** 2|-2 ** 2|7 // 2|-7 // 2|7 // -2|7 % 3|-7 % 3|7 % -3|7 / 2|6 / 2|1 / 0|1 // 0|1 % 0
2 ** -1|0 ** -1|2.5 // 1|-2.5 // 1|-2.5 % 2|2.5 % -2|1e3|1e16|1e15|123456789012345680.0|1e-4|1e-5|0.1 + 0.2|1_000
0x1F|0b101|0o17|1.5e3|5e-324|1.0|-0.0|3.14159|100.0|1e22|1.7976931348623157e308
1 < 2 < 3|1 < 3 < 2|1 == 1.0|true == 1|'1' == 1|none == none|'a' < 'b'|[1, 2] < [1, 3]|(1, 2) == (1, 2)|[1] == (1,)
'a' in 'abc'|'x' not in 'abc'|2 in l|9 not in l|'b' in d|1 in 'abc'|nil in l|'a' in none|undefined_name in l|'a' in undefined_name
not true|not 1 == 2|not not x|t and 5|z and 5|e or 'dflt'|0 or ''|nil or no|t and n and s|1 and 2 or 3|no or nil
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]|'a' + 'b'|'a' + 1|1 + 'a'|[1] + [2]|(1,) + (2,)|[1] + (2,)|'ab' * 3|3 * 'ab'|[0] * 3|'a' * -1|'a' * 2.0
none + 1|d + d|l - l|-s|+t|-t|true + true|1 - true|'%s' % 1 + 'x'
'yes' if t else 'no'|'yes' if no|('yes' if no) is defined|'a' if no else 'b' if no else 'c'|1 if t else 1/0
s[0]|s[-1]|s[99]|s[1:4]|s[::-1]|s[::2]|s[-3:]|s[:-3]|s[5:2]|s[10:0:-2]|u[6]|u[::-1]|u[5:8]|u|length|s[:100]
l[0]|l[-1]|l[5]|l[1:]|l[::-1]|l[::2]|l[0:2:1]|l[::0]|l['a']|l[1.0]|l[true]|(1, 2, 3)[1:]|range(10)[2:8:3]|range(5)[-1]|'abc'['x']
d.b|d['b']|d.zz|d.zz.yy|d['zz']|d['zz']['yy']|d['items']|d.a[0]|d.a.0|d.a.9|nil.x|nil['x']|n.x|undefined_name.x|undefined_name['x']
undefined_name|undefined_name + 1|undefined_name == undefined_name|undefined_name == 1|undefined_name < 1|-undefined_name|undefined_name()|undefined_name|length|undefined_name|list|undefined_name|upper
undefined_name|default('d')|nil|default('d')|e|default('d', true)|d.zz|default(1)|d.zz.q|default(1)|nil|d('x', boolean=true)|undefined_name|int|undefined_name|tojson|undefined_name|first|undefined_name|string
undefined_name is defined|d.zz is defined|nil is defined|undefined_name is none|nil is none|undefined_name is undefined|undefined_name is string|undefined_name is iterable|undefined_name is sequence|undefined_name is callable
n is number|f is number|t is number|n is integer|t is integer|f is integer|f is float|n is float|s is string|l is string|d is mapping|l is mapping|l is sequence|d is sequence|s is sequence|n is sequence
l is iterable|n is iterable|range(3) is sequence|range(3) is iterable|d.items() is sequence|d.keys() is iterable|t is boolean|n is boolean|t is true|1 is true|no is false|0 is false
3 is odd|4 is odd|4 is even|9 is divisibleby 3|9 is divisibleby(4)|n is eq 7|n is ne 7|n is gt 3|n is lessthan 3|n is ge(7)|n is le 6|2 is in [1, 2]|2 is in l|3 is not in l|n is sameas n|l is sameas l|[] is sameas []
'abc' is lower|'ABC' is upper|'aBc' is lower|'' is lower|range is callable|s.upper is callable|s is callable|'upper' is filter|'nope' is filter|'odd' is test|'nope' is test|x is not defined|n is not none and n > 3|n is odd and t
s|upper|s|lower|'hello wORLD'|title|"it's a-b (c)"|title|'hELLO'|capitalize|u|upper|u|lower|'ß'|upper|'éa'|capitalize|'straße ÀÉ'|title|none|upper|1.5|upper
pad|trim|'xxaxx'|trim('x')|'xyax'|trim(chars='yx')|s|replace('l', 'L')|s|replace('l', 'L', 2)|'aaa'|replace('', '-')|1|replace(1, 2)|s|length|s|count|l|length|d|length|n|length|nil|length
l|first|l|last|le|first|le|last|s|first|s|last|d|first|d|last|range(3)|last|(l|map('string'))|last|undefined_name|last|n|first
l|join|l|join(', ')|ls|join('-')|users|join(', ', attribute='name')|s|join('.')|l|join(1)|d|join(',')|n|join|[1, none, 'x', true]|join('|')|undefined_name|join
l|sort|l|sort(reverse=true)|ls|sort|ls|sort(case_sensitive=true)|users|sort(attribute='age')|map(attribute='name')|list|users|sort(attribute='age,name')|map(attribute='name')|join|users|sort(attribute='x.y')|[1, 'a']|sort|s|sort|join|d|sort
l|reverse|list|s|reverse|(1, 2)|reverse|list|d|reverse|list|n|reverse|range(3)|reverse|list|l|min|l|max|le|max|ls|min|ls|max(case_sensitive=true)|users|max(attribute='age')|[]|sum|l|sum|users|sum('age')|l|sum(start=10)|['a']|sum|[[1], [2]]|sum(start=[])
[1, 2, 1, 3]|unique|list|ls|unique|list|['a', 'A']|unique|list|['a', 'A']|unique(true)|list|users|unique(attribute='age')|map(attribute='name')|list|[[1], [1]]|unique|list|[1, true, 1.0]|unique|list
l|map('string')|list|ls|map('upper')|join|users|map(attribute='name')|list|users|map(attribute='q', default='?')|list|users|map(attribute='x.y')|list|l|map('nope')|list|l|map|list|ls|map('replace', 'a', 'z')|list|['1', '2']|map('int')|sum
l|select('odd')|list|l|reject('odd')|list|l|select|list|[0, 1, '']|select|list|[0, 1]|reject|list|users|selectattr('on')|map(attribute='name')|list|users|rejectattr('on')|list|length|users|selectattr('age', 'gt', 26)|list|length|users|selectattr('name', 'equalto', 'bob')|list|length
users|selectattr('x.y', 'defined')|list|length|users|selectattr('age', '==', 30)|map(attribute='name')|join(',')|l|select('nope')|list|l|select('in', [1, 2])|list|users|selectattr|list|l|select('odd')|length|l|select('odd')|first
users|groupby('age')|list|length|users|groupby('age')|map(attribute='grouper')|list|users|groupby('age')|map('last')|map('length')|list|users|groupby('q', default='-')|map('first')|list|(users|groupby('age'))[0].list|length|['a', 'B']|groupby(0)|map('first')|list
d|dictsort|d|dictsort(by='value')|{'b': 1, 'A': 3, 'a': 2}|dictsort|{'b': 1, 'A': 3, 'a': 2}|dictsort(true)|{'b': 1, 'A': 3}|dictsort(false, 'value', reverse=true)|d|items|list|undefined_name|items|list|l|items|list|big|dictsort|length|n|dictsort
[1, 2, 3, 4, 5]|batch(2)|list|[1, 2, 3]|batch(2, 'x')|list|[1, 2, 3, 4, 5]|slice(2)|list|[1, 2, 3]|slice(2, 'x')|list|l|slice(0)|list|l|list|s|list|d|list|n|list|(1, 2)|list
'3'|int|'3.7'|int|'x'|int|'x'|int(9)|'ff'|int(base=16)|'0x1f'|int(base=16)|'0b11'|int(0, 2)|' 12 '|int|'1_000'|int|nil|int|3.99|int|-3.99|int|t|int|'1e3'|int|'inf'|int|[]|int(5)
'3.5'|float|'x'|float|'x'|float(1.5)|3|float|'1e5'|float|'inf'|float|'-nan'|float|nil|float|'1_0.5'|float|' 2 '|float|l|float
2.5|round|3.5|round|2.567|round(2)|2.567|round(1, 'floor')|2.513|round(1, 'ceil')|7|round|1234|round(-2)|1250|round(-2)|1350|round(-2)|2.675|round(2)|'x'|round|1.5|round(method='nope')|-3|abs|-3.5|abs|'a'|abs|2.5|round|int
html|e|html|escape|html|safe|html|e|e|html|forceescape|('<b>'|safe) + '<i>'|'<i>' + ('<b>'|safe)|('<b>'|e).upper()|html|string|n|string|[1, '<']|string|('<'|e) ~ '<'|html|striptags
lines|indent|lines|indent(2, true)|lines|indent(width=1, blank=true)|lines|indent('> ')|'a'|indent|''|indent(first=true)|n|indent|s|truncate(5)|s|truncate(5, true, '', 0)|'foo bar baz qux'|truncate(9)|'foo bar baz qux'|truncate(11)|'foo bar baz qux'|truncate(11, false, '...', 0)|'foo bar baz qux'|truncate(9, true)|s|truncate(2)
s|wordcount|'a b-c d_e'|wordcount|s|center(21)|'%s and %s'|format(1, 'x')|'%(a)s'|format(a=5)|'%d%%'|format(7)|'%5.2f|%-5s|%05d|%x|%X|%o|%e|%g|%c|%r'|format(3.14159, 'ab', 42, 255, 255, 8, 12345.678, 0.0001, 'z', 'q')|'%s'|format|'%d'|format('x')|'%q'|format(1)|'%s'|format(1, 2)|'%+d % d %#x'|format(5, 5, 255)|'%*d'|format(5, 3)|'%.3s|'|format('abcdef')
'%s' % 'a'|'%s %s' % ('a', 1)|'%s' % [1]|'%s' % d|'%(b)s' % d|'%s %s' % 'a'|'x' % 1|'%i' % 3.9|'%s' % none|'%5s|%-5s|' % ('é', 'é')|'%.0f' % 2.5|'%.0f' % 3.5|'%5.1f%%' % 99.44|'%s' % undefined_name
'a/b c?&=é'|urlencode|{'a b': 1, 'c': 'é&'}|urlencode|1000|filesizeformat|1|filesizeformat|1500000|filesizeformat|1048576|filesizeformat(true)|0|filesizeformat|d|attr('items') is callable|d|attr('b')|s|attr('upper') is callable
d|tojson|d|tojson(indent=2)|u|tojson|u|tojson(ensure_ascii=true)|html|tojson|[]|tojson|{}|tojson(indent=4)|[[], {}]|tojson(indent=1)|(1, 2)|tojson|{1: 2, none: 3, true: 4, 1.5: 5}|tojson|{(1, 2): 3}|tojson|d|tojson(separators=(',', ':'))|{'b': 1, 'a': 2}|tojson(sort_keys=true)|[1.0, 1e20, 0.1]|tojson|'a\n\t"\\/\x01\x7f'|tojson|range(3)|tojson|users|tojson(indent='--')|(l|map('string'))|tojson|('inf'|float)|tojson|d|tojson(none, 2)|d.items()|tojson
[1, 'a', none, true, 1.5, [], {}, (), (1,)]|{'a': 1, 2: [3]}|['it\'s', "q\"q", '\'"']|['\n\t\\é😀\x00\x7f']|('a',)|range(3)|range(1, 10, 2)|d.keys()|d.values()|{'a': 1}.items()|[range(2)]|[undefined_name]|none|true|1.0|['\u200b\u00ad\ue000']
range(5)|list|range(2, 5)|list|range(5, 0, -2)|list|range(0)|list|range(1, 2, 0)|range(200000)|range('a')|range(3)|length|2 in range(3)|range(3) == range(0, 3)|range(3)[5]|range(3).start|range(1.5)
dict(a=1, b=2)|dict([('a', 1), ['b', 2]])|dict({'a': 1}, b=2)|dict(1)|namespace(a=1).a|namespace(a=1).b|namespace({'a': 1}).a|namespace(_a=1)|dict(a=1) == {'a': 1}|{'a': 1, 'a': 2}|{1: 'a', true: 'b', 1.0: 'c'}|{[1]: 2}|{(1, 2): 3}[(1, 2)]
s.upper()|s.lower()|'a b'.title()|"they're bill's"|title|"they're bill's".title()|'abc'.capitalize()|s.swapcase()|' a '.strip()|'xxaxx'.strip('x')|'  a '.lstrip()|' a  '.rstrip() ~ '|'|'abcba'.lstrip('ab')|'abcba'.rstrip('ab')|'é x é'.strip('é')|s.strip(none)
'a,b,,c'.split(',')|' a  b '.split()|'a b c'.split(' ', 1)|'a b c'.rsplit(' ', 1)|' a  b c '.split(none, 1)|' a  b c '.rsplit(none, 1)|'abc'.split('')|''.split()|''.split(',')|'a--b'.split('--')|'a\nb\r\nc\rd\n'.splitlines()|'a\nb\n'.splitlines(true)|'a\u2028b'.splitlines()|'a.b.c'.partition('.')|'a.b.c'.rpartition('.')|'abc'.partition('x')|'abc'.rpartition('x')|'a</think>b'.split('</think>')[-1].lstrip('\n')|'a b c'.split(maxsplit=1)
s.startswith('He')|s.startswith(('x', 'H'))|s.endswith('ld')|s.endswith(('a', 'b'))|s.startswith('W', 6)|s.startswith(1)|s.startswith(['H'])|s.find('o')|s.find('o', 5)|s.find('zz')|s.rfind('o')|s.index('zz')|s.rindex('l')|u.find('😀')|s.count('l')|s.count('')|'aaa'.count('aa')|s.find('o', -5, -1)|s.find('', 3)|s.find('', 99)
s.replace('o', '0')|s.replace('o', '0', 1)|'abc'.replace('', '-')|'-'.join(['a', 'b'])|'-'.join([1])|''.join(ls)|'-'.join('abc')|'abc'.removeprefix('a')|'abc'.removesuffix('bc')|'abc'.removeprefix('x')|'5'.zfill(3)|'-5'.zfill(4)|'a'.center(4)|'a'.center(4, '*')|'ab'.center(5, '*')|'a'.ljust(3, '.')|'a'.rjust(3)|'a\tb'.expandtabs(4)|'a'.ljust(3, 'xx')
'abc'.isalpha()|'a1'.isalnum()|'12'.isdigit()|'²'.isdigit()|'²'.isdecimal()|'½'.isnumeric()|' '.isspace()|''.isspace()|'Ab'.istitle()|'AB'.isupper()|'ab1'.islower()|'1'.islower()|'é'.isalpha()|'a_1'.isidentifier()|'1a'.isidentifier()|'é'.isascii()|'\x00'.isprintable()
'{} {}'.format(1, 'a')|'{0} {1} {0}'.format(1, 2)|'{a}'.format(a=1)|'{a.b} {a[b]}'.format(a=d)|'{:>5}|{:<5}|{:^5}|{:*^7}'.format(1, 'a', 'b', 'c')|'{:05d} {:+} {:,} {:x} {:#x} {:b}'.format(42, 5, 1234567, 255, 255, 5)|'{:.2f} {:.3} {:10.1f}| {:e} {:%}'.format(3.14159, 2.0, 2.25, 1234.5, 0.5)|'{!r} {!s}'.format('a', 'b')|'{{}}'.format()|'{'.format()|'}'.format()|'{}'.format()|'{:{}}'.format('a', 5)|'{:d}'.format('a')|'{:.2}'.format('abc')|'{}'.format(none)|'{:5}'.format(true)|'{x}'.format(x=undefined_name)|'{0.zz}'.format(d)|'{:_}'.format(1234567)
d.get('b')|d.get('zz')|d.get('zz', 5)|d.keys()|list|d.values()|list|{'a': 1}.items()|list|d.get([1])|'b' in d.keys()|d.keys()|length|d.update({'x': 1})|d.pop('b')|d.setdefault('q', 1)|d.clear|d.clear is defined|d.copy() == d|big.k15|big['k19']|big.zz is defined|d.get(default=1)
l.append(4)|l.append|l.pop()|l.sort()|l.reverse()|l.extend([1])|l.index(1)|l.index(9)|l.count(3)|l.copy()|l.insert(0, 1)|(1, 2, 1).count(1)|(1, 2).index(2)|l.append is defined|s.__class__|l.__len__()|d.__class__ is defined|''.__class__.__mro__|n.__add__(1)|(1).bit_length()|(2.0).is_integer()
raise_exception('boom')|raise_exception()|raise_exception(1)|s()|n()|s.nope()|none()|(1, 2|abs)|1 if|[1, 2|{'a'}|'abc|1 +|a b|1 2|is|(|)|s|nope|s is nope|s|upper|lower|title|s | upper|-1|abs|(-1)|abs|2|string + 'x'|not s|length == 3
l|sum + 1|1 + l|length|l|length + 1|'a' 'b'|'a' "b" ~ 'c'|()|(1)|(1,)|1, 2|[1, 2,]|{'a': 1,}|s[1:3]|upper|s.split(' ')|last|s.split(' ')[0]|lower|(s ~ '!')|length|users[0].name|upper|users|map(attribute='age')|sum|users[-1]['name'][0]|loop|loop.index
'\x41\u00e9\U0001F600\101\n'|'a\
b'|'\q'|'\u12'|"a'b"|'a"b'|'{{ x }}'|'{% if %}'|'%}'|"}}"|'#}'|true|True|false|False|none|None|TRUE is defined
[1, 2, 3] | map('string') | join(', ') | upper|l|map('abs')|map('string')|select('ne', '1')|join|[l, l]|map('first')|list|[l, ls]|map('join', '+')|list|users|map('attr', 'name')|list|'a,b'.split(',')|map('trim')|list|s.lower().replace(' ', '_').upper()
l == [3, 1, 2]|d == d|l != ls|s == s.upper()|{'a': 1, 'b': 2} == {'b': 2, 'a': 1}|1 < 'a'|none < 1|[1] < 1|d < d|nil == no|e == nil|[none] == [none]|1.5 > 1|true > false|'é' > 'z'|'a' != none|n >= 7|n in [1, 7.0]
joiner(', ')()|cycler('a', 'b').next()|cycler()|cycler(1).current|strftime_now is callable|strftime_now('')|messages|messages is defined
9223372036854775807|9007199254740993.0|3 * 1.1|1e100|7.0 // 2|2 ** 10|2 ** 0.5|10 ** 15|1.0 == 1|0.5|-0.5|round|.5
"""

# Whole expressions, one a line.
_LINES = r"""
n[1:]
t[:100]
nil[::2]
range(0, 9223372036854775807, 4611686018427387904)[:] | list
range(0, 9223372036854775807, 4611686018427387904)[::-1] | list
range(-9223372036854775807, 9223372036854775807, 4611686018427387904) | reverse | list
range(-9223372036854775807, 9223372036854775807, 4611686018427387904)[3]
range(3)[3:]
range(9)[7:1:-3]
range(9)[7:1:-3] | list
d[1:]
undefined_name[1:]
(l | map('abs'))[1:]
not not 7 | rejectattr('x')
not not 1.5 | map('upper')
not not 7 | items
not not l | map('nope')
not not l | select('nope')
'a' if l | batch(0)
7 | map('upper') | list
l | map('nope') | list
l | groupby('x') | list
[1] | groupby('x') | list
[none, none] | groupby('x') | list
l | sort(attribute='x')
{'a': none, 'b': none} | dictsort(by='value')
'abc' % [1]
'abc' % d
'abc' % {}
'abc' % range(3)
'abc' % (1,)
'abc' % 1
'%s' % [1, 2]
'%s' % range(3)
'%(b)s' % {'b': 1, 'c': 2}
'%(b)s' | format(b=1, c=2)
'%s' | format(1, 2)
dict(undefined_name)
[1, 2] | truncate(8)
(1,) | truncate(3, true, '', 0)
[1, 2] | truncate(1, true, '', 0)
5 | truncate
undefined_name | truncate(3) | default('u')
'a' | filesizeformat
'1e3' | filesizeformat
nil | filesizeformat
l | filesizeformat
true | filesizeformat
l is filter
d is test
nil is filter
5 is test
'upper' is filter
n.real
n.imag
n.numerator
n.denominator
true.real
1.5.real
e.real
(1.5).real
(1.5).imag
(1.5).numerator
(7).denominator + (true).imag
'Grüße ẞ Σς'.casefold()
'-9223372036854775808' | int
'inf' | int(3)
'nan' | float | int(3)
'inf' | float | int(3)
'1e3' | int(3)
'-2.9' | int
d.items() == d.items()
d.keys() == {'a': 1, 'items': 2, 'b': 3}.keys()
d.values() == d.values()
d.items() == big.items()
'<p>a &amp; b</p> <!-- c > d --> &lt;x&gt; &quot;q&quot; &#39;z&#x41; &#65 &nbsp;| &amp &ltx &q; & a < b' | striptags
'a <b' | striptags
'ΐ ᾳ Ꭰ ꭰ ſ ﬅ ŉ Σς'.casefold()
'ﬁ ŉ ΐ և ᾳ'.upper() ~ 'ﬁ ŉ ΐ և ᾳ'.title() ~ 'ŉabc'.capitalize() ~ 'ŉ ᾳ ᾼ'.swapcase()
'ΑΣ ΑΑΣ ΣΑΣ-ΑΣΣ (ΣΣ) ﬁx' | title
('<' | safe | title) ~ '<' ~ ('<' | safe | upper) ~ '<'
('<' | safe) + ('<' | safe | title)
'é' % undefined_name
'é%d' % undefined_name
[1.3333333333333333e16 | round(-1), 15.0 | round(-1), 25.0 | round(-1), 5.0 | round(-1), 5.1 | round(-1), 1e300 | round(-299), 1e22 | round(-3)]
[-0.4 | round(0, 'ceil'), -2.25 | round(1, 'ceil'), 0.4 | round(0, 'floor')]
('inf' | float) | round(0, 'ceil')
"""


def _split(text):
    """Cases are separated by | that stands outside of quotes and brackets and is followed by no filter name."""
    filters = ("abs attr batch capitalize center count d default dictsort e escape filesizeformat first float "
               "forceescape format groupby indent int items join last length list lower map max min nope reject "
               "rejectattr replace reverse round safe select selectattr slice sort string striptags sum title tojson "
               "trim truncate unique upper urlencode wordcount").split()
    for line in text.strip("\n").replace("\\\n", "\\\0").split("\n"):
        line = line.replace("\\\0", "\\\n")
        parts, depth, quote, start, i = [], 0, "", 0, 0
        while i < len(line):
            c = line[i]
            if quote:
                if c == "\\":
                    i += 1
                elif c == quote:
                    quote = ""
            elif c in "'\"":
                quote = c
            elif c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
            elif c == "|" and depth <= 0:
                word = ""
                j = i + 1
                while j < len(line) and line[j] == " ":
                    j += 1
                while j < len(line) and (line[j].isalnum() or line[j] == "_"):
                    word += line[j]
                    j += 1
                if word not in filters or (word in ("e", "d") and line[j:j + 1] in (".", "[", " ", "")
                                           and line[i + 1] != " " and not line[start:i].startswith("html")):
                    parts.append(line[start:i])
                    start, depth = i + 1, 0
            i += 1
        parts.append(line[start:])
        yield from parts


_STATEMENTS = r"""
{% set x = 1 %}{{ x }}
{% set x, y = 1, 2 %}{{ x }}{{ y }}
{% set (x, (y, w)) = (1, (2, 3)) %}{{ x }}{{ y }}{{ w }}
{% set x, y = [1] %}
{% set x, y = [1, 2, 3] %}
{% set x, y = 5 %}
{% set x = 1, %}{{ x }}
{% set true = 1 %}
{% set s.x = 1 %}
{% set ns = namespace(a=1, b='x') %}{% set ns.a = 2 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}
{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}
{% set d.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}
{% set x %}a{{ n }}b{% endset %}[{{ x }}]
{% set x | upper | replace('A', 'z') %}a{{ n }}b{% endset %}[{{ x }}]
{% set x = 5 %}{% set y %}{% set x = 6 %}{{ x }}{% endset %}{{ x }}{{ y }}
{% set x | replace('a', y) %}{% set y = 'b' %}a{% endset %}{{ x }}{{ y }}
{% set y = 'c' %}{% set x | replace('a', y) %}{% set y = 'b' %}a{% endset %}{{ x }}{{ y }}
{% set y = 'c' %}{% filter replace('a', y) %}{% set y = 'b' %}a{% endfilter %}{{ y }}
{% set ns = namespace(v='') %}{% set ns.v | replace('a', y) | upper %}{% set y = 'b' %}aa{% endset %}{{ ns.v }}
{% for y in 'pq' %}{% set x | replace('a', y) %}{% if loop.first %}{% set y = 'b' %}{% endif %}a{% endset %}{{ x }}{% endfor %}
{% macro m(y) %}{% set x | replace('a', y) %}{% set y = 'b' %}a{% endset %}{{ x }}{{ y }}{% endmacro %}{{ m('k') }}
{% for i in l %}{% set x | replace('a', loop.index | string) %}a{% endset %}{{ x }}{% endfor %}
{% for x in l %}{{ x }},{% endfor %}
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}
{% for x in le %}a{% else %}empty{% endfor %}
{% for x in l %}{% break %}{% else %}else{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% else %}else{% endfor %}
{% for x in l %}{% continue %}{% else %}else{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }};{% endfor %}
{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }};{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for c in u %}[{{ c }}]{% endfor %}
{% for x in n %}{% endfor %}
{% for x in nil %}{% endfor %}
{% for x in undefined_name %}a{% else %}none{% endfor %}
{% for x in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }};{% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }};{% endfor %}
{% for x in l %}{{ loop.cycle() }}{% endfor %}
{% for x in l %}{{ loop.nope }}{% endfor %}
{% for x in l if loop.index %}{% endfor %}
{% for x in [1, 2] %}{% for y in [3, 4] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }};{% endfor %}
{% for x in [1, 2] %}{% set outer = loop %}{% for y in [3, 4] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for n in tree recursive %}{{ n.v }}({{ loop(n.kids) }}){{ loop.depth }}{% endfor %}
{% for x in l %}{{ loop(x) }}{% endfor %}
{% set x = 1 %}{% for i in l %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}
{% for i in l %}{% if loop.first %}{% set x = 'f' %}{% endif %}{{ x }};{% endfor %}
{% if t %}{% set x = 5 %}{% endif %}{{ x }}
{% for i in [1] %}{% set x = 5 %}{% endfor %}{{ x }}
{{ i }}{% for i in l %}{% endfor %}{{ i }}
{% set ns = namespace(stop=false) %}{% for x in [1, 2, 3] if not ns.stop %}{{ x }}{% if x == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}
{% for x in l | map('string') %}{{ loop.index }}{{ x }}{{ loop.last }}{{ loop.length }};{% endfor %}
{% set g = l | map('string') %}{{ g | list }}{{ g | list }}
{% set g = [1, 2, 3] | select %}{{ g | first }}{{ g | list }}
{% for x in l | reverse %}{{ x }}{{ loop.length }}{% endfor %}
{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}
{% if z %}a{% elif n == 7 %}b{% else %}c{% endif %}
{% if z %}a{% elif nil %}b{% else %}c{% endif %}
{% if le %}a{% endif %}{% if de %}b{% endif %}{% if e %}c{% endif %}{% if 0.0 %}d{% endif %}{% if [0] %}e{% endif %}{% if range(0) %}f{% endif %}{% if d.keys() %}g{% endif %}
{% if undefined_name %}a{% else %}b{% endif %}
{% if no %}{{ s | nope }}{% endif %}ok
{% if t %}{{ s | nope }}{% endif %}ok
{% if no %}{% for x in l %}{{ s | nope }}{% endfor %}{% endif %}ok
{{ s | nope if no else 'ok' }}
{% for x in le %}{{ x is nope }}{% endfor %}
{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, q=2) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{{ m(1) }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}
{% macro m(a, a2=n, b=a2 + 1) %}{{ a }}{{ a2 }}{{ b }}{% endmacro %}{{ m(1) }}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}
{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}{{ x }}
{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{{ n }}{% endcall %}
{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b=3) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m() %}[{{ caller is defined }}]{% endmacro %}{{ m() }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{{ m() }}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }}{{ m.arguments }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(x=1) | upper }}{{ (m(2) ~ 'b') | length }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}{{ m(*[1, 2]) }}
{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}
{% macro m() %}{% for i in l %}{{ loop.index }}{% endfor %}{% endmacro %}{% for i in l %}{{ m() }};{% endfor %}
{% for i in l %}{% macro m() %}{{ loop.index }}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{{ m() }}{% macro m() %}{% endmacro %}
{% macro m() %}{% break %}{% endmacro %}
{% break %}
{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% filter upper %}a{{ s }}b{% endfilter %}
{% filter replace('l', 'L') | trim %}  {{ s }} {% endfilter %}|
{% filter nope %}{% endfilter %}
{% filter length %}abc{% endfilter %}
a{% filter list %}abc{% endfilter %}
{% filter first %}{% endfilter %}
{% filter tojson %}a{% endfilter %}
{% set x = 7 | map('nope') %}ok
{% for x in 7 | map('upper') %}{% endfor %}
{% set g = l | map('string') %}{{ g | first }}{{ g | list }}
{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}
{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}
{% with (a, b) = 'xy', c = 3 %}{{ a }}{{ b }}{{ c }}{% endwith %}
{% with ns.a = 1 %}{% endwith %}
{% with 1 = 1 %}{% endwith %}
{% generation %}a{{ n }}{% endgeneration %}b
{% for x in l %}{% generation %}{{ loop.index }}{% set y = x %}{{ y }}{% endgeneration %}{{ y }}{% endfor %}
{%- for x in l -%}  {% generation -%}  {{ x }}  {%- endgeneration %}  {%- endfor -%}
{% generation %}
{% block a %}x{{ n }}{% endblock %}
{% block a %}x{% endblock a %}
{% raw %}{{ x }}{% if %}{% endraw %}
a {%- raw -%}  {{ x }}  {%- endraw -%} b
  {% raw %} {{ x }} {% endraw %}  x
{% raw %}{{ x }}
{# comment #}a{# {{ x }} {% if %} #}b
a{#- c -#}  b  {#- d #} c
  {# c #}  x
{# open
a{##}b{#-#}c
{% autoescape false %}<{% endautoescape %}
{% include 'x' %}
{% if no %}{% include 'x' %}{% endif %}ok
{% extends 'x' %}
{% import 'x' as y %}
{% do l.append(1) %}
{% print n, s %}
{% nope %}
{% endif %}
{% if t %}
{% if t %}{% endfor %}
{% for x in l %}
{% for x l %}{% endfor %}
{% if %}{% endif %}
{{ }}
{{ n
{% if n
{{ n }
{% if t: %}colon{% endif %}
{{ 'a' }}{{ "b" }}
a{{ n }}b{{- n -}} c {{ n -}}  d
a  {{- n }}  b
  {% if t %}x{% endif %}  y
  {%+ if t %}x{% endif %}  y
{% if t +%}x{% endif %}
a  {%- if t -%}  x  {%- endif -%}  b
{{ s|upper }}{{ s |lower }}{{ s| title }}
{{ n }}{{ n }}
{{n}}{%if t%}a{%endif%}
{{ {'a': {'b': 1}}.a.b }}{{ {'a': 1}['a'] }}
{{ [1, [2, [3]]][1][1][0] }}
{% set a = [] %}{% for x in l %}{% set a = a + [x] %}{% endfor %}{{ a }}
{% set ns = namespace(a=[]) %}{% for x in l %}{% set ns.a = ns.a + [x * 2] %}{% endfor %}{{ ns.a }}
{% set ns = namespace(d={}) %}{% for x in ls %}{% set ns.d = dict(ns.d, **{x: x | upper}) %}{% endfor %}{{ ns.d }}
{% set ns = namespace(a=1) %}{{ ns }}
{% set ns = namespace(a=1) %}{{ ns == ns }}{{ ns.a is defined }}{{ ns.b is defined }}{{ ns['a'] }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner('|') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}
{% for group in users | groupby('age') %}{{ group.grouper }}:{{ group.list | map(attribute='name') | join(',') }};{% endfor %}
{% for age, list in users | groupby('age') %}{{ age }}{{ list | length }};{% endfor %}
{% for row in [1, 2, 3] | batch(2) %}{{ row }}{% endfor %}
{% set x = 'a' %}{% set x = x ~ 'b' %}{% set x = x + 'c' %}{{ x }}
{% set m = s.upper %}{{ m() }}
{% set u = d.items %}{{ u() | list | length }}
{% set f = range %}{{ f(2) | list }}
{%- set x = 1 -%}
{%- if x -%}
  yes
{%- endif -%}
{{- '' -}}
{% for i in range(3) -%}{{ i }}{%- endfor %}
{% set a = 'x' if no %}{{ a is defined }}{{ a }}
{% set content = users[0].content | default('', true) | trim %}[{{ content }}]
{% if users[0]['role'] is defined and users[0]['role'] == 'system' %}a{% else %}b{% endif %}
{{ raise_exception('line ' ~ n) }}
{{ loop }}
{{ caller }}
{{ varargs }}
{% macro loop(x) %}{{ x }}{% endmacro %}{{ loop(1) }}
{% set range = 5 %}{{ range }}
{% set ns = namespace(x=1) %}{% macro m() %}{% set ns.x = ns.x + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.x }}
{{ (1, 2)[0] }}
{{ d.a | selectattr('x') | list }}
{{ users | map(attribute='name') | map('upper') | join(' ') }}
{{ users | selectattr('on') | map(attribute='x') | selectattr('y', 'defined') | list }}
{{ messages[0] }}
{% set x = {'a': 1} %}{% set y = dict(x, b=2) %}{{ y }}{{ x }}
{% for k, v in big | dictsort(by='value', reverse=true) %}{% if loop.index > 2 %}{% break %}{% endif %}{{ k }}{{ v }}{% endfor %}
{% for key in users[0] if key not in ['name', 'x'] %}{{ key }},{% endfor %}
{% set parts = 'a</think>b'.split('</think>') %}{{ parts | length }}{{ parts[0] }}{{ parts[1] }}
{% set t2 = t if t is boolean else false %}{{ t2 }}{{ not t2 }}
{% for x in l %}{% filter upper %}{% if x == 1 %}{% break %}{% endif %}a{% endfilter %}{% endfor %}
{% for x in l %}{{ loop }}{% endfor %}
{% for x in l if x > 1 %}{{ loop }}{% endfor %}
{% for x in l %}[{{ s }}]{% endfor %}{% set s = 1 %}{{ s }}
{{ s }}{% for x in l %}[{{ s }}]{% endfor %}{% set s = 1 %}
{% for x in l %}[{{ s is defined }}]{% set s = x %}{{ s }}{% endfor %}{{ s }}
{% for x in l %}{% for y in l %}{{ s is defined }}{% endfor %}{% set s = x %}{% endfor %}
{% for x in l %}{% for y in l %}{{ s is defined }}{% endfor %}{% if x %}{% set s = x %}{% endif %}{% endfor %}
{% if no %}{% set s = 1 %}{% endif %}{% for x in l %}{{ s }}{% endfor %}
{% if no %}{% set s = 1 %}{% else %}{% set s = 2 %}{% endif %}{% for x in l %}{{ s }}{% endfor %}
{% set s %}{{ s is defined }}{% endset %}{{ s }}
{% set s = s ~ '!' %}{{ s }}{% set s %}{{ s }}?{% endset %}{{ s }}
{% macro m() %}{{ s is defined }}{% endmacro %}{{ m() }}{% set s = 1 %}{{ m() }}
{% macro m(s) %}{% for x in [1] %}{{ s }}{% endfor %}{% set s = 3 %}{% endmacro %}{{ m(2) }}
{% for s in l %}{% for x in [1] %}{{ s }}{% endfor %}{% set s = 3 %}{{ s }}{% endfor %}{{ s }}
{% with s = 4 %}{% for x in [1] %}{{ s }}{% endfor %}{% set s = 3 %}{% endwith %}
{% for x in l %}{{ range is defined }}{% endfor %}{% set range = 1 %}
{% filter upper %}{% for x in [1] %}{{ s is defined }}{% endfor %}{% set s = 'a' %}{{ s }}{% endfilter %}
{% call(x) m() %}{% endcall %}{% set m = 1 %}
{% for x in l %}{{ ns is defined }}{% endfor %}{% set ns = namespace() %}{% set ns.a = 1 %}
{% if t %}{% for x in [1] %}{{ s is defined }}{% endfor %}{% set s = 5 %}{% endif %}
{% generation %}{% for x in [1] %}{{ s is defined }}{% endfor %}{% set s = 5 %}{{ s }}{% endgeneration %}{{ s }}
{% if no %}a{% elif s %}{% set e = 1 %}{% endif %}{% for x in [1] %}[{{ e is defined }}]{% endfor %}
"""

_TEXTS = [
    "", "\n", "a\n", "a\n\n", "\na", "a\r\nb\rc", "{", "{ {", "a { b", "}}", "%}", "#}", "{}", "\t{% if t %}\n\tx\n\t{% endif %}\n\ty\n",
    "{% if t %}\nx\n{% endif %}\ny", "  {% if t %}  \nx\n  {% endif %}\ny\n", "a {% if t %}\nx{% endif %}", "{% if t -%}\n  x\n{%- endif %}\n",
    "{{ n }}\n{{ n }}\n", "{{ n -}}\n\n x", "a\n\n  {{- n }}", "a\n\n  {%- if t %}x{% endif %}", "{# c #}\nx", "  {# c #}\nx", "{# c -#}\n x",
    "a\n  {#- c #}\nx", "{% raw %}\n a\n{% endraw %}\nb", "{% raw -%}\n a\n{%- endraw %}\nb", "  {% raw %}\n  {% endraw %}\n",
    "{% set x = 1 +%}\nx", "{%+ set x = 1 %}\nx", "  {%- set x = 1 %}  y", "  {%+ set x = 1 -%}  y", "{% for x in l %}\n{{ x }}\n{% endfor %}\n",
    "{%- for x in l %}\n  {{- x }}\n{%- endfor %}\n", "x{% if t %}{# c #}{% endif %}y", "{{ '\n' }}", "{{ 'a\nb' }}", "{% if t\n and n %}x{% endif %}",
    "{{ l\n  | join(\n ',') }}", "\u00a0{%- if t -%}\u00a0x{% endif %}", "é{{ u }}é", "{{ \"{% raw %}\" }}", "{{ '}}' }}", "{{ {'a': {}} }}",
    "{{ {'a': {'b': 1}}}}", "{{ 1 }}}", "{{{ 1 }}}", "{%", "{{", "{#", "{% %}", "{%- -%}", "a{%-", "{{-}}", "{{--}}", "{{- -1 -}}", "{{+1}}", "{{ -1 }}",
    "{{ 1 }}{%- if t %}\n\n{%- endif %} 2", "{% if t %}a\n{% else %}b\n{% endif %}\nc\n", "   \n  {% if t %}\n x {% endif %}  \n",
    "{{ 1.2.3 }}", "{{ 007 }}", "{{ 1__0 }}", "{{ 1a }}", "{{ a$b }}", "{{ a; b }}", "{{ \u00e9 }}", "{{ 'a' 'b' }}",
    "{{ x\n\n\n.y }}", "\n\n{{ 1/0 }}", "{% set x = [\n1,\n2\n] %}{{ x }}", "{{ (((((1))))) }}", "{{ [[[[1]]]] }}",
]

CASES = (["{{ " + case + " }}" for case in _split(_EXPRESSIONS) if case.strip()] +
         ["{{ " + line + " }}" for line in _LINES.strip("\n").split("\n")] +
         [line for line in _STATEMENTS.strip("\n").split("\n") if line] + _TEXTS)

_TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather <now> in a \"city\", in °C.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name", "enum": ["Zürich", "Paris"]},
        "days": {"type": "integer", "default": 1}}, "required": ["city"]}}}
_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
_CHAT = [{"role": "user", "content": "What is 1 < 2?"}, {"role": "assistant", "content": " True.\n"},
         {"role": "user", "content": "Grüße 😀"}]

CONVERSATIONS = {
    "one": {"messages": _CHAT[:1], "add_generation_prompt": True, **_TOKENS},
    "chat": {"messages": _CHAT, "add_generation_prompt": True, **_TOKENS},
    "system": {"messages": [{"role": "system", "content": "Be brief. "}] + _CHAT, "add_generation_prompt": True, **_TOKENS},
    "answered": {"messages": _CHAT[:2], "add_generation_prompt": False, **_TOKENS},
    "no_thinking": {"messages": _CHAT, "add_generation_prompt": True, "enable_thinking": False, **_TOKENS},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"}]}],
              "add_generation_prompt": True, **_TOKENS},
    "tools": {"messages": _CHAT[:1] + [
        {"role": "assistant", "content": "", "reasoning_content": "Ask.", "tool_calls": [
            {"id": "abc123def", "type": "function",
             "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}]},
        {"role": "tool", "tool_call_id": "abc123def", "name": "get_weather", "content": "{\"t\": 21.5}"}],
        "tools": [_TOOL], "add_generation_prompt": True, **_TOKENS},
    "wrong_order": {"messages": [_CHAT[1], _CHAT[0], _CHAT[0]], "add_generation_prompt": True, **_TOKENS},
}
