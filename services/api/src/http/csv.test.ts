import { describe, expect, it } from 'vitest'
import { csvField, csvLine } from './csv.js'

describe('csvField', () => {
  it.each([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['=1+1', `"'=1+1"`],
    ['+x', `"'+x"`],
    ['-x', `"'-x"`],
    ['@x', `"'@x"`],
    ['=HYPERLINK("x")', `"'=HYPERLINK(""x"")"`],
    ['a=b', 'a=b'],
    ['x;=1+1;', `"x;'=1+1;"`],
    ['x; =1', `"x;' =1"`],
    ['x;"=1&"', `"x;'""=1&"""`],
    ['x|+1', `"x|'+1"`],
    ['x,-1', `"x,'-1"`],
    ['x\t@y', `"x\t'@y"`],
    ['x\n=1', `"x\n'=1"`],
    ['x\u2028=1', `"x\u2028'=1"`],
    ['\t=1', `"'\t'=1"`],
    [' =1', `"' =1"`],
    ['＝1+1', `"'＝1+1"`],
    ['＋1', `"'＋1"`],
    ['－1', `"'－1"`],
    ['＠x', `"'＠x"`],
    ['−1', `"'−1"`],
    ["'quoted'", `"''quoted'"`],
    ["x;'y", `"x;''y"`],
    ["don't", "don't"],
    ['3-1', `"'3-1"`],
    ['1001-12', `"'1001-12"`],
    ['1000001-12', '1000001-12'],
    ['1000001-1-2', `"'1000001-1-2"`],
    ['1/2', `"'1/2"`],
    ['007', `"'007"`],
    ['1e5', `"'1e5"`],
    ['12345678901234567890', `"'12345678901234567890"`],
    ['2026-11-29', `"'2026-11-29"`],
    ['.5', `"'.5"`],
    ['(5)', `"'(5)"`],
    ['$3', `"'$3"`],
    ['３', `"'３"`],
    ['٣', `"'٣"`],
    ['MAR1', `"'MAR1"`],
    ['Sept-2', `"'Sept-2"`],
    ['mai 2026', `"'mai 2026"`],
    ['März.3', `"'März.3"`],
    ['marvin1', 'marvin1'],
    ['user-17', 'user-17'],
    ['ada', 'ada'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [-5, '-5'],
    [true, 'true'],
  ])('writes %j as %s', (value, expected) => {
    expect(csvField(value)).toBe(expected)
  })

  it('writes fields from which the documented rule restores the exact value', () => {
    const readBack = (field: string): string => {
      const text = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
      return text.replace(/(?<=^|[,;|\t\r\n\v\f\u0085\u2028\u2029])'/g, '')
    }
    const letters = [...'a1=\'";,|\t\n -＝é🎟']
    let seed = 7
    const next = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((seed / 2_147_483_648) * below)
    }
    for (let n = 0; n < 20_000; n++) {
      const value = Array.from({ length: next(9) }, () => letters[next(letters.length)]).join('')
      const field = csvField(value)
      expect(readBack(field), JSON.stringify(value)).toBe(value)
      const text = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
      expect(text).not.toMatch(/(^|[,;|\t\n])[\s"]*[=＝-]/)
    }
  })

  it('writes fields into lines that end with CRLF (RFC 4180)', () => {
    expect(csvLine(['a', 1])).toBe('a,1\r\n')
  })
})
