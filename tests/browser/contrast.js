/*
 * Runs in a page. Returns the luminance of its ground, and each kind of visible text whose contrast
 * is below 4.5 (WCAG 2.2, 1.4.3).
 */
;(() => {
  const channelsOf = (color) => (color.match(/[\d.]+/g) ?? []).map(Number)
  function luminanceOf(color) {
    const [r, g, b] = channelsOf(color).map((channel) => {
      const share = channel / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  function groundOf(element) {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor
      if ((channelsOf(color)[3] ?? 1) > 0.5) return color
    }
    return 'rgb(255, 255, 255)'
  }
  const tooLow = new Set()
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    const element = text.parentElement
    if (text.textContent.trim() === '' || !element.checkVisibility()) continue
    const [ink, ground] = [getComputedStyle(element).color, groundOf(element)]
    const [dark, light] = [ink, ground].map(luminanceOf).sort((a, b) => a - b)
    if ((light + 0.05) / (dark + 0.05) >= 4.5) continue
    const { parentElement: parent } = element
    tooLow.add(`${parent.className} > ${element.className}: ${ink} on ${ground}`)
  }
  return { ground: luminanceOf(groundOf(document.body)), tooLow: [...tooLow] }
})()
